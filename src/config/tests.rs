//! Flags over the file over the defaults, and what a mistake is told.

use std::net::IpAddr;
use std::sync::LazyLock;

use clap::Parser;

use super::*;
use crate::cli::{Args, Command};
use crate::error::Status;
use crate::values::{parse_home_net, parse_mail_server};

static RULES: LazyLock<Arc<ReplyRules>> = LazyLock::new(|| Arc::new(ReplyRules::builtin()));

fn env() -> Environment {
    Environment { no_color: false, terminal: false, columns: None, cpus: 64 }
}

fn args(flags: &[&str]) -> ReplayArgs {
    let command = Args::try_parse_from(["smtphound", "replay"].iter().chain(flags)).unwrap().command;
    let Command::Replay(args) = command else { panic!("not replay") };
    *args
}

fn file(text: &str) -> FileConfig {
    FileConfig::parse(text, Path::new("/etc/smtphound.toml")).unwrap()
}

fn resolve(flags: &[&str], text: &str) -> Result<Config, Error> {
    Config::resolve(args(flags), file(text), Arc::clone(&RULES), &env())
}

/// The message of wrong flags.
fn complaint(flags: &[&str]) -> String {
    let error = resolve(flags, "").unwrap_err();
    assert_eq!(error.status(), Status::Usage);
    error.to_string()
}

#[test]
fn defaults() {
    let config = resolve(&["x.pcap"], "").unwrap();
    assert_eq!(config.inputs, [Input::File("x.pcap".into())]);
    assert_eq!((config.ports, config.workers), (vec![25], 16));
    assert_eq!((config.site.home_nets.len(), config.site.home_nets_given), (6, false));
    assert_eq!((config.report, config.sessions, config.fail_on, config.filter), (None, None, None, None));
    assert_eq!(config.table, Some(Style::new(80, false)));
}

#[test]
fn a_flag_replaces_the_file_and_the_file_the_default() {
    let text = r#"
        home_nets = ["192.0.2.7/24", "2001:db8::1"]
        mail_servers = ["192.0.2.25"]
        local_domains = ["Adatum.Example", "adatum.example."]
        ports = [2525, 25, 25]
        reply_rules = "rules.toml"
    "#;
    assert_eq!(file(text).reply_rules, Some("/etc/rules.toml".into()));
    let config = resolve(&["x"], text).unwrap();
    let nets: Vec<String> = config.site.home_nets.iter().map(ToString::to_string).collect();
    assert_eq!(
        (nets, config.site.home_nets_given),
        (vec!["192.0.2.0/24".to_owned(), "2001:db8::1/128".to_owned()], true)
    );
    assert_eq!((config.site.local_domains, config.ports), (vec!["adatum.example".to_owned()], vec![25, 2525]));

    let config = resolve(&["--home-net", "10.0.0.0/8", "--port", "26", "x"], text).unwrap();
    assert_eq!(config.site.home_nets[0].to_string(), "10.0.0.0/8");
    assert_eq!(config.ports, [26]);
    assert_eq!(config.site.mail_servers, ["192.0.2.25".parse::<IpAddr>().unwrap()]);
}

#[test]
fn a_named_mail_server_is_ours() {
    let config = resolve(&["--mail-server", "203.0.113.5", "--mail-server", "10.0.0.1", "x"], "").unwrap();
    assert_eq!(config.site.home_nets.last().unwrap().to_string(), "203.0.113.5/32");
    assert_eq!(config.site.home_nets.len(), 7);
}

#[test]
fn mapped_addresses_are_ipv4() {
    assert_eq!(parse_home_net("::ffff:192.0.2.0/120").unwrap().to_string(), "192.0.2.0/24");
    assert_eq!(parse_home_net("::ffff:192.0.2.1").unwrap().to_string(), "192.0.2.1/32");
    assert_eq!(parse_mail_server("::ffff:192.0.2.1").unwrap().to_string(), "192.0.2.1");
}

#[test]
fn standard_output_takes_one_thing() {
    assert_eq!(
        complaint(&["--report", "-", "--sessions", "-", "x"]),
        "--report and --sessions cannot both go to standard output (`-`): give one of them a file"
    );
    let config = resolve(&["--report", "-", "x"], "").unwrap();
    assert_eq!((config.report, config.table), (Some(Target::Stdout), None));
    assert_eq!(resolve(&["--quiet", "x"], "").unwrap().table, None);
}

#[test]
fn standard_input_is_read_once() {
    assert_eq!(complaint(&["-", "x", "-"]), "standard input (`-`) can be read only once: name it once");
    assert_eq!(resolve(&["-"], "").unwrap().inputs, [Input::Stdin]);
}

#[test]
fn outputs_do_not_overwrite_each_other_or_a_capture() {
    assert_eq!(
        complaint(&["--report", "out", "--sessions", "out", "x"]),
        "--report and --sessions cannot both go to out: give each its own file"
    );
    let spelt = complaint(&["--report", "src/out-of-a-test", "--sessions", "./src/../src/out-of-a-test", "x"]);
    assert!(spelt.contains("cannot both go to"), "neither is there yet: {spelt}");
    let dir = tempfile::tempdir().unwrap();
    let capture = dir.path().join("x.pcap");
    fs::write(&capture, "").unwrap();
    let roundabout = dir.path().join(".").join("x.pcap");
    let flags = ["--sessions", roundabout.to_str().unwrap(), capture.to_str().unwrap()];
    assert_eq!(
        complaint(&flags),
        format!(
            "--sessions {} would overwrite an input that is to be read: give it another name",
            roundabout.display()
        )
    );
    assert!(resolve(&["--report", "/dev/null", "--sessions", "/dev/null", "x"], "").is_ok());
}

#[test]
fn a_directory_that_is_not_there_is_told_before_anything_is_read() {
    assert_eq!(
        complaint(&["--report", "/no/such/place/report.json", "x"]),
        "--report: there is no directory /no/such/place: make it first"
    );
}

#[test]
fn colours_are_for_terminals_unless_told() {
    let terminal = Environment { terminal: true, columns: Some(100), ..env() };
    let no_color = Environment { no_color: true, ..terminal.clone() };
    let no_width = Environment { columns: None, ..terminal.clone() };
    for (flags, env, color) in [
        (&["x"][..], &env(), false),
        (&["x"], &no_width, true),
        (&["x"], &terminal, true),
        (&["x"], &no_color, false),
        (&["--color", "always", "x"], &no_color, true),
        (&["--color", "always", "x"], &env(), true),
        (&["--color", "never", "x"], &terminal, false),
    ] {
        let config = Config::resolve(args(flags), FileConfig::default(), Arc::clone(&RULES), env).unwrap();
        assert_eq!(config.table, Some(Style::new(env.columns.map_or(80, usize::from), color)), "{flags:?} {env:?}");
    }
}

#[test]
fn a_wrong_file_is_told_with_its_place_and_the_remedy() {
    for (text, wanted) in [
        ("\nhome_net = []\n", "line 2: there is no key `home_net`: did you mean `home_nets`?"),
        ("ports = [25]\nmail-server = 'x'", "line 2: there is no key `mail-server`: did you mean `mail_servers`?"),
        (
            "colour = 1",
            "line 1: there is no key `colour`: the keys are home_nets, mail_servers, local_domains, relay_domains, relay_networks, ports, reply_rules, detect, theme, mouse, bindings",
        ),
        (
            "[site]\nhome_nets = []",
            "line 1: there is no key `site`: the keys are home_nets, mail_servers, local_domains, relay_domains, relay_networks, ports, reply_rules, detect, theme, mouse, bindings",
        ),
        (
            "home_nets = [\n  '10.0.0.0/8',\n  '10.0.0/8',\n]",
            "line 3: home_nets: `10.0.0/8` is no network: write an address, a slash and a prefix length, such as \
             192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "home_nets = ['192.0.2.0\t/24']",
            "line 1: home_nets: `192.0.2.0\\x09/24` is no network: write an address, a slash and a prefix length, such as \
             192.0.2.0/24 or 2001:db8::/32",
        ),
        (
            "mail_servers = ['192.0.2.256']",
            "line 1: mail_servers: `192.0.2.256` is no IP address: write one such as 192.0.2.25 or 2001:db8::25",
        ),
        (
            "local_domains = ['user@example.com']",
            "line 1: local_domains: `user@example.com` is no domain: write what stands after the @ of your addresses, such \
             as example.com",
        ),
        (
            "local_domains = ['b\u{fc}ro.example']",
            "line 1: local_domains: `b\u{fc}ro.example` is not in the form that mail uses: write its ASCII form (`xn--...`)",
        ),
        ("ports = [25,\n 70000]", "line 2: ports: 70000 is no TCP port: write one from 1 to 65535"),
        ("ports = [0]", "line 1: ports: 0 is no TCP port: write one from 1 to 65535"),
        ("ports = []", "line 1: ports is empty: name at least one, or leave the key out for port 25"),
        (
            "home_nets = []",
            "line 1: home_nets is empty: name at least one, or leave the key out for the private networks",
        ),
        ("ports = '25'", "line 1: invalid type: string \"25\", expected a sequence"),
        ("ports = [25]\nports = [26]", "line 2: duplicate key"),
        ("home_nets = ['10.0.0.0/8'", "line 1: unclosed array, expected `]`"),
    ] {
        let error = FileConfig::parse(text, Path::new("site.toml")).unwrap_err();
        assert_eq!(error.to_string(), format!("site.toml, {wanted}"));
        assert_eq!(error.status(), Status::Usage);
    }
}

#[test]
fn files_are_read_and_their_absence_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (config, rules) = (dir.path().join("site.toml"), dir.path().join("rules.toml"));
    fs::write(&config, "ports = [26]\nreply_rules = 'rules.toml'").unwrap();
    let load = || Config::load(args(&["--config", config.to_str().unwrap(), "x"]), &env());
    let error = load().unwrap_err();
    assert!(error.to_string().starts_with(&format!("{} cannot be read: ", rules.display())), "{error}");
    assert_eq!(error.status(), Status::Usage);

    fs::write(&rules, "nonsense = 1").unwrap();
    let error = load().unwrap_err();
    assert!(error.to_string().starts_with(&format!("{}: ", rules.display())), "{error}");

    fs::write(&config, "ports = [26]").unwrap();
    assert_eq!(load().unwrap().ports, [26]);

    fs::write(&config, b"\n# caf\xe9").unwrap();
    let place = format!("{}, line 2: this is not UTF-8 text", config.display());
    assert_eq!(load().unwrap_err().to_string(), place);
}

#[test]
fn thresholds_of_detectors_are_read_from_their_tables() {
    let config =
        resolve(&["x"], "[detect.outcome_burst]\nsite_cap_db = 6\n[detect.ndr_flood]\nrate_window = '20 min'\n")
            .unwrap();
    let mut expected = DetectSettings::default();
    expected.outcome_burst.site_cap_db = 6.0;
    expected.ndr_flood.rate_window = crate::time::Span::mins(20);
    assert_eq!(config.settings, expected);
    assert_eq!(resolve(&["x"], "").unwrap().settings, DetectSettings::default());
}

#[test]
fn thresholds_that_cannot_be_are_told_with_their_line() {
    for (text, expected) in [
        ("[detect.ndrflood]\n", "line 1: there is no key `ndrflood`: did you mean `ndr_flood`?"),
        ("[detect.ndr_flood]\nrate-mn = 3\n", "line 2: there is no key `rate-mn`: did you mean `rate_min`?"),
        ("[detect.ndr_flood]\nrate_window = 10\n", "line 2: invalid type: integer `10`, expected a string"),
        (
            "[detect.ndr_flood]\nrate_window = '10'\n",
            "line 2: `10` is no length of time: write a number and ms, s, min, h or d, such as \"10 min\"",
        ),
        (
            "ports = [25]\n[detect.accounts]\np0 = 0.1\n[detect.harvest]\np1 = 0.1\np0 = 0.2\n",
            "line 6: detect.harvest.p0 must be less than p1",
        ),
        ("detect.relay.rejected_min = 5000\n", "line 1: detect.relay.rejected_min must be from 1 to 1000"),
        (
            "[detect.mx_lookups]\ncolour = 1\n",
            "line 2: there is no key `colour`: the keys are domains_min, mx_db, guessed_min, guess_db, window",
        ),
    ] {
        let error = FileConfig::parse(text, Path::new("/etc/smtphound.toml")).unwrap_err().to_string();
        assert_eq!(error, format!("/etc/smtphound.toml, {expected}"), "{text}");
    }
}

/// Each page of a detector names each of its settings.
#[test]
fn every_threshold_is_on_the_page_of_its_detector() {
    let pages = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/detectors");
    let names = |text: &str| -> Vec<String> {
        let error = FileConfig::parse(text, Path::new("x")).unwrap_err().to_string();
        error.split_once("the keys are ").unwrap().1.split(", ").map(str::to_owned).collect()
    };
    let detectors = names("[detect.\"?\"]\n");
    assert_eq!(detectors.len(), 17);
    let mut missing = Vec::new();
    for detector in detectors {
        let page = fs::read_to_string(pages.join(format!("{detector}.md"))).unwrap();
        let keys = names(&format!("[detect.{detector}]\n\"?\" = 1\n"));
        missing.extend(
            keys.into_iter().filter(|key| !page.contains(&format!("`{key}`"))).map(|key| format!("{detector}: {key}")),
        );
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

fn watch(flags: &[&str], text: &str, env: &Environment) -> Result<WatchConfig, Error> {
    let command = Args::try_parse_from(["smtphound", "watch", "-i", "eth0"].iter().chain(flags)).unwrap().command;
    let Command::Watch(args) = command else { panic!("not watch") };
    WatchConfig::resolve(*args, file(text), Arc::clone(&RULES), env)
}

#[test]
fn names_are_wanted_unless_they_are_not() {
    let wanted = |flags: &[&str]| watch(flags, "", &env()).unwrap().live.wanted;
    assert!(wanted(&["--headless"]).names);
    assert!(!wanted(&["--headless", "--no-names"]).names);
}

#[test]
fn a_screen_needs_a_terminal_and_standard_output_has_one_owner() {
    let (terminal, none) = (Environment { terminal: true, ..env() }, env());
    assert!(watch(&[], "", &terminal).unwrap().screen.is_some());
    assert!(watch(&["--headless"], "", &none).unwrap().screen.is_none());
    for (flags, env, begins) in [
        (&[][..], &none, "standard output is no terminal to show a screen on: add --headless"),
        (&["--headless", "--report", "-"], &none, "--report -: standard output belongs to the incidents' lines"),
        (&["--sessions", "-"], &terminal, "--sessions -: standard output belongs to the screen"),
    ] {
        let error = watch(flags, "", env).unwrap_err();
        assert!(error.to_string().starts_with(begins), "{error}");
        assert_eq!(error.status(), Status::Usage);
    }
}

#[test]
fn the_screen_is_as_flags_file_and_surroundings_say() {
    let terminal = Environment { terminal: true, ..env() };
    let screen = |flags: &[&str], text: &str, env: &Environment| watch(flags, text, env).unwrap().screen.unwrap();
    let text = "theme = \"light\"\nmouse = true\n[bindings]\nquit = \"x\"\n";
    let from_file = screen(&[], text, &terminal);
    assert_eq!((from_file.theme, from_file.mouse), (ThemeName::Light, true));
    assert_ne!(from_file.bindings, Bindings::default());
    assert_eq!(screen(&["--theme", "colorblind"], text, &terminal).theme, ThemeName::Colorblind);
    let no_color = Environment { no_color: true, ..terminal };
    assert_eq!(screen(&[], text, &no_color).theme, ThemeName::Mono);
    assert_eq!(screen(&["--theme", "dark"], "", &no_color).theme, ThemeName::Dark);
    for (wrong, begins) in [
        ("[bindings]\nqiut = \"x\"", "/etc/smtphound.toml, line 1: bindings: there is no action `qiut`"),
        ("[bindings]\nquit = \"hyper-x\"", "/etc/smtphound.toml, line 1: bindings: `hyper-x` is no key"),
    ] {
        let error = FileConfig::parse(wrong, Path::new("/etc/smtphound.toml")).unwrap_err().to_string();
        assert!(error.starts_with(begins), "{error}");
    }
}

#[test]
fn the_template_is_all_settings_with_their_defaults() {
    // As it is, it says nothing.
    assert_eq!(
        file(TEMPLATE),
        FileConfig {
            bindings: Some(Bindings::default()),
            detect: Some(DetectSettings::default()),
            ..FileConfig::default()
        }
    );
    // Without the marks, it says what holds anyway.
    let is_setting =
        |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
    let said: String = TEMPLATE
        .lines()
        .map(|line| if is_setting(line) { &line[1..] } else { line })
        .filter(|line| !line.starts_with("reply_rules"))
        .flat_map(|line| [line, "\n"])
        .collect();
    let said = file(&said);
    assert_eq!(said.detect, Some(DetectSettings::default()));
    assert_eq!(said.bindings, Some(Bindings::default()));
    let nets = said.home_nets.unwrap().into_iter().map(|net| match net {
        NetSource::Net(net) => net,
        NetSource::File(path) => panic!("{}", path.display()),
    });
    assert_eq!(nets.collect::<Vec<_>>(), Site::default().home_nets);
    assert_eq!((said.ports, said.theme, said.mouse), (Some(vec![25]), Some(ThemeName::Dark), Some(false)));
    let none = (said.mail_servers, said.local_domains, said.relay_domains, said.relay_networks);
    assert_eq!(none, (Some(vec![]), Some(vec![]), Some(vec![]), Some(vec![])));
    // So does every key of the screen.
    for key in Bindings::default().table().iter().flat_map(|(keys, _)| keys.split(' ')) {
        assert!(TEMPLATE.contains(&format!("\"{key}\"")), "{key}");
    }
    // Every threshold stands in it: the names of fields are those of keys.
    let all = format!("{:?}", DetectSettings::default());
    let fields = all.split([' ', '{', ',', '[']).filter_map(|word| word.strip_suffix(':'));
    for field in fields {
        assert!(
            TEMPLATE.contains(&format!("\n#{field} = ")) || TEMPLATE.contains(&format!("[detect.{field}]")),
            "{field}"
        );
    }
}

#[test]
fn networks_may_stand_in_files() {
    let dir = tempfile::tempdir().unwrap();
    let nets = dir.path().join("nets.txt");
    fs::write(&nets, "# offices\n192.0.2.0/24 # the first\n\n2001:db8::/32\n").unwrap();
    let named = format!("@{}", nets.display());
    let config = resolve(&["--home-net", &named, "--home-net", "10.0.0.0/8", "x"], "").unwrap();
    let found: Vec<String> = config.site.home_nets.iter().map(ToString::to_string).collect();
    assert_eq!(found, ["192.0.2.0/24", "2001:db8::/32", "10.0.0.0/8"]);
    let relative = FileConfig::parse("relay_networks = ['@nets.txt']", &dir.path().join("smtphound.toml")).unwrap();
    assert_eq!(relative.relay_networks, Some(vec![NetSource::File(nets.clone())]));

    fs::write(&nets, "192.0.2.0/24\n192.0.2\n").unwrap();
    let wrong = complaint(&["--home-net", &named, "x"]);
    assert!(wrong.starts_with(&format!("{}, line 2: `192.0.2` is no network: write", nets.display())), "{wrong}");
    fs::write(&nets, "# none yet\n").unwrap();
    assert!(complaint(&["--home-net", &named, "x"]).contains("no network stands in it"));
    let missing = complaint(&["--home-net", "@none.txt", "x"]);
    assert!(
        missing.starts_with("none.txt cannot be read: ") && missing.ends_with("name a file that is there"),
        "{missing}"
    );
}

#[test]
fn the_site_and_the_rules_are_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("smtphound.toml");
    fs::write(&path, "local_domains = ['adatum.example']").unwrap();
    let flags = SiteArgs { config: Some(path.clone()), ..SiteArgs::default() };
    let reload = Reload(flags);
    assert_eq!(reload.load().unwrap().site.local_domains, ["adatum.example"]);
    fs::write(&path, "local_domains = ['contoso.example']\nhome_nets = ['192.0.2.0/24']").unwrap();
    let terms = reload.load().unwrap();
    assert_eq!((terms.site.local_domains, terms.site.home_nets_given), (vec!["contoso.example".to_owned()], true));
    fs::write(&path, "local_domain = []").unwrap();
    assert!(reload.load().unwrap_err().to_string().contains("did you mean `local_domains`?"));
}
