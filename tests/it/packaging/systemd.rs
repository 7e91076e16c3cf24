//! The units of systemd.

#![cfg(unix)]

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use dsp_ai_gateway::commands::UNUSABLE;

use super::*;

const SERVICE: &str = "packaging/systemd/dsp-ai-gateway.service";
const SOCKET: &str = "packaging/systemd/dsp-ai-gateway.socket";

/// The settings of a unit, in order.
struct Unit(Vec<(String, String)>);

impl Unit {
    fn read(file: &str) -> Self {
        let text = read(file);
        let settings = text.lines().filter(|line| !line.starts_with(['#', '[']) && !line.is_empty());
        let settings = settings.map(|line| {
            let (name, value) =
                line.split_once('=').unwrap_or_else(|| panic!("{file}: `{line}` is no setting"));
            (name.to_owned(), value.to_owned())
        });
        Self(settings.collect())
    }

    fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| &**value).collect()
    }

    fn one(&self, name: &str) -> &str {
        let [value] = self.all(name)[..] else { panic!("not one {name}=") };
        value
    }

    fn variable(&self, name: &str) -> PathBuf {
        let mut set = self.all("Environment").into_iter().filter_map(|setting| setting.split_once('='));
        let (_, value) = set.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}"));
        value.into()
    }
}

#[test]
fn the_service_starts_reloads_and_stops_as_the_program_does() {
    let unit = Unit::read(SERVICE);
    let words: Vec<String> = unit.one("ExecStart").split(' ').map(str::to_owned).collect();
    assert!(matches!(parsed(&words).command, Some(Asked::Serve(_))));
    assert_eq!(unit.one("ExecReload"), "/bin/kill -HUP $MAINPID");
    assert_eq!(unit.one("RestartPreventExitStatus"), UNUSABLE.to_string());
    assert_outlasts(Duration::from_secs(unit.one("TimeoutStopSec").parse().unwrap()), &shipped().server);
    for setting in unit.all("Environment") {
        let (name, _) = setting.split_once('=').unwrap();
        assert!(is_variable_of_the_program(name), "{name}");
    }
}

#[test]
fn the_service_may_use_the_folders_that_it_names_and_files_enough() {
    let unit = Unit::read(SERVICE);
    let configuration = Path::new("/etc").join(unit.one("ConfigurationDirectory"));
    assert_eq!(unit.variable("GATEWAY_CONFIG").parent(), Some(&*configuration));
    let clients = configuration.join(shipped().clients_dir.file_name().unwrap());
    assert_eq!(unit.one("ReadWritePaths"), format!("-{}", clients.display()));
    let state = Path::new("/var/lib").join(unit.one("StateDirectory"));
    assert_eq!(unit.variable("GATEWAY_DATA"), state);
    assert!(
        read("packaging/systemd/dsp-ai-gateway.sysusers.conf").contains(&format!("u {} ", unit.one("User")))
    );
    let files: u64 = unit.one("LimitNOFILE").parse().unwrap();
    assert!(files > 3 * u64::from(shipped().server.max_in_flight), "a request may take two sockets");
    // The ledger tells by the boot id whether the machine went down.
    assert!(unit.all("ProcSubset").is_empty());
}

#[test]
fn the_socket_is_where_the_program_listens() {
    let unit = Unit::read(SOCKET);
    assert_eq!(unit.one("ListenStream"), shipped().server.listen.to_string());
}

/// `verify` knows every setting, `security` what is left open: 10 is everything, 2 and less is called OK.
#[test]
fn systemd_finds_no_fault_in_the_units_and_little_left_open() {
    if Command::new("systemd-analyze").arg("--version").output().is_err() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    // The program is not installed here.
    let program = folder.path().join("program");
    std::fs::write(&program, "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
    let service = read(SERVICE).replace("/usr/local/bin/dsp-ai-gateway", program.to_str().unwrap());
    let units = [("dsp-ai-gateway.service", service), ("dsp-ai-gateway.socket", read(SOCKET))];
    let analyze = |arguments: &[&str], unit: &str| {
        let mut command = Command::new("systemd-analyze");
        let output = command.args(arguments).arg(folder.path().join(unit)).output().unwrap();
        let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
        assert!(output.status.success(), "{arguments:?} {unit}: {said}");
        said
    };
    for (name, text) in &units {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    for (name, _) in &units {
        assert_eq!(analyze(&["verify", "--man=no"], name), "");
    }
    analyze(&["security", "--offline=true", "--threshold=20"], "dsp-ai-gateway.service");
}
