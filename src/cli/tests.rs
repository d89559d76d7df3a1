//! What is offered, and what a mistake is told.

use clap::{CommandFactory, Parser};

use super::*;

/// The words of a wrong command line.
fn complaint(args: &[&str]) -> String {
    let error = Args::try_parse_from(["smtphound"].iter().chain(args)).unwrap_err();
    assert_eq!(error.exit_code(), 2, "{error}");
    error.to_string().lines().next().unwrap().to_owned()
}

#[test]
fn the_definition_is_sound() {
    Args::command().debug_assert();
}

/// The help of `replay`, or of the whole program, at a fixed width.
fn help(subcommand: Option<&str>, long: bool) -> String {
    let mut command = Args::command().term_width(100);
    command.build();
    let command = match subcommand {
        Some(name) => command.find_subcommand_mut(name).unwrap(),
        None => &mut command,
    };
    let text = if long { command.render_long_help() } else { command.render_help() };
    // Blank lines between paragraphs come indented.
    text.to_string().lines().map(str::trim_end).collect::<Vec<_>>().join("\n")
}

#[test]
fn help_at_the_top() {
    insta::assert_snapshot!(help(None, false), @r#"
    Find out who abuses port 25, from the wire alone

    Usage: smtphound <COMMAND>

    Commands:
      replay       Rank offenders in saved captures
      watch        The same live: from a mirror port, in the terminal or as a service
      devices      List what can be captured on, and what right is missing
      judge        Judge session lines instead of captures
      diff         What got better: compare the reports of before and after
      report       Turn the incidents of a report into reports for an abuse desk
      config       The configuration file
      completions  Print completions for a shell
      man          Print a man page: of the program, or of one of its commands
      schema       Print the JSON Schema of an output
      help         Print this message or the help of the given subcommand(s)

    Options:
      -h, --help     Print help
      -V, --version  Print version

    Exit status: 0 done; 1 an incident reached --fail-on; 2 wrong flags or configuration; 3 no device or
    no right to capture; 4 an input was damaged or could not be read (what was readable is reported).
    "#);
}

#[test]
fn short_help_of_replay() {
    insta::assert_snapshot!(help(Some("replay"), false), @r#"
    Rank offenders in saved captures

    Usage: smtphound replay [OPTIONS] <FILE>...

    Arguments:
      <FILE>...  Captures to read, together as one in the order of time; `-` is standard input

    Options:
      -h, --help  Print help (see more with '--help')

    Your site:
          --home-net <CIDR>      A network of yours, such as 192.0.2.0/24, or @FILE with one a line
                                 (repeatable)
          --mail-server <IP>     A mail server of yours (repeatable)
          --local-domain <NAME>  A domain that you take mail for (repeatable)
          --config <FILE>        A TOML file with home_nets, mail_servers, local_domains, relay_domains,
                                 relay_networks, ports, reply_rules, theme, mouse, bindings
          --reply-rules <FILE>   Rules that say what servers' replies mean, instead of the built-in ones
          --port <N>             A TCP port that SMTP is spoken on (repeatable) [default: 25]

    Reading:
          --filter <BPF>  Read only frames that this libpcap filter lets through, such as 'host
                          192.0.2.7' (see `man pcap-filter`)
          --workers <N>   Threads to work with, 1 to 16; the result is the same with any number
                          [default: one for each CPU]

    Output:
          --sessions <FILE>         Write every SMTP connection as a line of JSON to this file; `-` is
                                    standard output
          --format <FORM>           The form of what --sessions writes [default: native] [possible
                                    values: native, eve]
          --html <FILE>             Write a page for people, HTML without anything from elsewhere, to
                                    this file; `-` is standard output
          --metrics <FILE>          Write metrics for Prometheus' textfile collector to this file
                                    (`watch`: four times a minute); `-` is standard output
          --syslog <WHERE>          Send each incident as a line to syslog: unix:/dev/log,
                                    udp:127.0.0.1:514 or tcp:127.0.0.1:514
          --syslog-format <FORMAT>  How these lines look [default: rfc5424] [possible values: rfc5424,
                                    cef]
          --report <FILE>           Write the incident report, JSON, to this file; `-` is standard
                                    output
          --fail-on <TIER>          End with status 1 if an incident is at least this sure [possible
                                    values: suspect, likely, confirmed]
          --color <WHEN>            Colours in the table; `auto` means on a terminal, unless NO_COLOR is
                                    set [default: auto] [possible values: auto, always, never]
      -q, --quiet                   No table on standard output
          --evidence <DIR>          Write for each incident a capture with just its connections into
                                    this directory, comments say why (whole mails!)

    Screen:
          --tui             Show the capture on the screen of `watch`; then `space` pauses it and `.`
                            goes on by one frame
          --speed <FACTOR>  How fast the screen plays the capture: 1 is as it was recorded, 0 as fast as
                            it can be read [default: 0]
          --theme <NAME>    Colours of the screen [default: dark, or mono if NO_COLOR is set] [possible
                            values: dark, light, mono, colorblind]
          --mouse           Take the mouse (the terminal's own selection of text needs Shift then)

    More with --help, examples too.
    "#);
}

#[test]
fn long_help_of_replay() {
    insta::assert_snapshot!(help(Some("replay"), true), @r#"
    Rank offenders in saved captures

    Reads captures (pcap or pcapng, also compressed), rebuilds every mail conversation in them, and says
    which of your machines send spam or worms, which are misused, and which only suffer from it; with
    the evidence. Nothing is ever sent to the network.

    Usage: smtphound replay [OPTIONS] <FILE>...

    Arguments:
      <FILE>...
              Captures to read, together as one in the order of time; `-` is standard input

    Options:
      -h, --help
              Print help (see a summary with '-h')

    Your site:
          --home-net <CIDR>
              A network of yours, such as 192.0.2.0/24, or @FILE with one a line (repeatable)

              Only machines in these networks are judged. Without it: the private networks (10.0.0.0/8,
              172.16.0.0/12, 192.168.0.0/16, fc00::/7) and link-local addresses.

          --mail-server <IP>
              A mail server of yours (repeatable)

              Mail servers are learned from what they take in. Naming them is surer, above all in short
              captures; then every other machine that mails the world is known to be none. A server
              counts as yours even outside the home networks.

          --local-domain <NAME>
              A domain that you take mail for (repeatable)

              Tells mail for you from mail that somebody tries to relay through you.

          --config <FILE>
              A TOML file with home_nets, mail_servers, local_domains, relay_domains, relay_networks,
              ports, reply_rules, theme, mouse, bindings

              A flag replaces the key of the same meaning in the file; between them stand environment
              variables, SMTPHOUND_HOME_NET for --home-net and so on. `smtphound config print-template`
              prints a file of all settings.

          --reply-rules <FILE>
              Rules that say what servers' replies mean, instead of the built-in ones

          --port <N>
              A TCP port that SMTP is spoken on (repeatable) [default: 25]

    Reading:
          --filter <BPF>
              Read only frames that this libpcap filter lets through, such as 'host 192.0.2.7' (see `man
              pcap-filter`)

          --workers <N>
              Threads to work with, 1 to 16; the result is the same with any number [default: one for
              each CPU]

    Output:
          --sessions <FILE>
              Write every SMTP connection as a line of JSON to this file; `-` is standard output

          --format <FORM>
              The form of what --sessions writes

              Possible values:
              - native: A line a connection, with all that is known of it; `judge` reads it
              - eve:    Suricata's EVE: smtp, flow and alert events

              [default: native]

          --html <FILE>
              Write a page for people, HTML without anything from elsewhere, to this file; `-` is
              standard output

          --metrics <FILE>
              Write metrics for Prometheus' textfile collector to this file (`watch`: four times a
              minute); `-` is standard output

          --syslog <WHERE>
              Send each incident as a line to syslog: unix:/dev/log, udp:127.0.0.1:514 or
              tcp:127.0.0.1:514

          --syslog-format <FORMAT>
              How these lines look

              Possible values:
              - rfc5424: RFC 5424, the incident's keys as structured data
              - cef:     ArcSight's Common Event Format

              [default: rfc5424]

          --report <FILE>
              Write the incident report, JSON, to this file; `-` is standard output

          --fail-on <TIER>
              End with status 1 if an incident is at least this sure

              Possible values:
              - suspect:   Any incident
              - likely:    More likely than not
              - confirmed: Proven, or strong evidence of two kinds

          --color <WHEN>
              Colours in the table; `auto` means on a terminal, unless NO_COLOR is set

              Possible values:
              - auto:   On a terminal, unless NO_COLOR is set
              - always: Always
              - never:  Never

              [default: auto]

      -q, --quiet
              No table on standard output

          --evidence <DIR>
              Write for each incident a capture with just its connections into this directory, comments
              say why (whole mails!)

              The captures are read a second and a third time for it, so they must be files. Each frame
              that an incident rests on has a comment that says what it shows; Wireshark lists them by
              the filter `frame.comment`.

    Screen:
          --tui
              Show the capture on the screen of `watch`; then `space` pauses it and `.` goes on by one
              frame

          --speed <FACTOR>
              How fast the screen plays the capture: 1 is as it was recorded, 0 as fast as it can be
              read

              [default: 0]

          --theme <NAME>
              Colours of the screen [default: dark, or mono if NO_COLOR is set]

              Possible values:
              - dark:       For dark terminals
              - light:      For light terminals
              - mono:       Without colours
              - colorblind: Told apart by everybody: blue and orange, no red against green

          --mouse
              Take the mouse (the terminal's own selection of text needs Shift then)

    Examples:
      Who is it? (a table for people)
          smtphound replay monday.pcap

      The office and its mail server have public addresses:
          smtphound replay --home-net 203.0.113.0/28 --mail-server 203.0.113.5 monday.pcap

      The files of a ring buffer, the report for other programs, every connection as a line:
          smtphound replay --report report.json --sessions sessions.ndjson ring_*.pcapng

      From another machine, without a file in between:
          ssh gateway tcpdump -w - -c 100000 tcp port 25 | smtphound replay -

      In a script:
          smtphound replay --quiet --fail-on confirmed --report report.json night.pcap.gz

    Exit status: 0 done; 1 an incident reached --fail-on; 2 wrong flags or configuration; 3 no device or
    no right to capture; 4 an input was damaged or could not be read (what was readable is reported).
    "#);
}

#[test]
fn every_flag_is_taken() {
    let args = Args::try_parse_from([
        "smtphound",
        "replay",
        "--home-net",
        "192.0.2.0/24",
        "--home-net",
        "2001:db8::/32",
        "--mail-server",
        "192.0.2.25",
        "--local-domain",
        "Adatum.example.",
        "--port",
        "25",
        "--port",
        "2525",
        "--config",
        "c.toml",
        "--reply-rules",
        "r.toml",
        "--filter",
        "host 192.0.2.7",
        "--workers",
        "2",
        "--report",
        "-",
        "--sessions",
        "s.ndjson",
        "--fail-on",
        "likely",
        "--color",
        "never",
        "--quiet",
        "a.pcap",
        "b.pcap",
    ])
    .unwrap();
    let Command::Replay(args) = args.command else { panic!("not replay") };
    let ReplayArgs { files, shared, .. } = *args;
    assert_eq!(files, ["a.pcap", "b.pcap"].map(PathBuf::from));
    assert_eq!(shared.site.home_nets.len(), 2);
    assert_eq!(shared.site.local_domains, ["adatum.example"]);
    assert_eq!((shared.ports, shared.workers), (vec![25, 2525], Some(2)));
    let output = shared.output;
    assert_eq!((output.fail_on, output.color, output.quiet), (Some(FailOn::Likely), ColorChoice::Never, true));
}

#[test]
fn a_mistake_is_named_with_its_flag_and_remedy() {
    for (args, wanted) in [
        (
            &["replay", "--home-net", "10.0.0.0/33", "x"][..],
            "error: invalid value '10.0.0.0/33' for '--home-net <CIDR>': `10.0.0.0/33` is no network: write an address, a \
             slash and a prefix length, such as 192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            &["replay", "--mail-server", "mail.example", "x"],
            "error: invalid value 'mail.example' for '--mail-server <IP>': `mail.example` is no IP address: write one such \
             as 192.0.2.25 or 2001:db8::25",
        ),
        (
            &["replay", "--local-domain", "two words", "x"],
            "error: invalid value 'two words' for '--local-domain <NAME>': `two words` is no domain: write what stands \
             after the @ of your addresses, such as example.com",
        ),
        (&["replay", "--port", "0", "x"], "error: invalid value '0' for '--port <N>': 0 is not in 1..=65535"),
        (&["replay", "--workers", "17", "x"], "error: invalid value '17' for '--workers <N>': 17 is not in 1..=16"),
        (&["replay"], "error: the following required arguments were not provided:"),
        (&["watch"], "error: the following required arguments were not provided:"),
        (&["listen"], "error: unrecognized subcommand 'listen'"),
    ] {
        assert_eq!(complaint(args), wanted);
    }
}

#[test]
fn watch_has_flags_of_its_own() {
    let parse = |flags: &[&str]| {
        let parsed = Args::try_parse_from(["smtphound", "watch"].iter().chain(flags)).map(|args| args.command);
        parsed.map(|command| match command {
            Command::Watch(args) => args,
            _ => panic!("not watch"),
        })
    };
    let args = parse(&["-i", "eth0"]).unwrap();
    assert_eq!((args.device.as_str(), args.snaplen, args.buffer), ("eth0", 262_144, 64));
    assert!(!args.headless && !args.no_promiscuous && !args.tunnels && !args.no_names && !args.keep_privileges);
    assert!(parse(&[]).is_err(), "a device has to be named");
    for wrong in [["--snaplen", "40"], ["--snaplen", "300000"], ["--buffer", "0"], ["--theme", "pink"]] {
        assert!(parse(&["-i", "eth0", wrong[0], wrong[1]]).is_err(), "{wrong:?}");
    }
}

#[test]
fn a_speed_is_a_number_that_makes_sense() {
    let parse = |speed: &str| Args::try_parse_from(["smtphound", "replay", "--tui", "--speed", speed, "x.pcap"]);
    for speed in ["0", "1", "0.5", "1000000"] {
        assert!(parse(speed).is_ok(), "{speed}");
    }
    for speed in ["-1", "fast", "inf", "NaN", "1e9"] {
        assert!(parse(speed).is_err(), "{speed}");
    }
    assert!(Args::try_parse_from(["smtphound", "replay", "--speed", "2", "x.pcap"]).is_err(), "without a screen");
}
