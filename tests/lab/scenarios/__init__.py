"""One module a scenario. Each has `NAMES` (the captures it makes) and `run(lab, captures, command, seed)`."""
