//! The image and its composition.

use serde_json::Value;

use super::*;

/// An instruction of a Dockerfile and what follows it, continued lines joined.
pub(super) fn instructions() -> Vec<(String, String)> {
    let text = read("packaging/Dockerfile");
    let lines: Vec<&str> = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instructions = joined.lines().map(|line| {
        let (name, rest) = line.split_once(' ').unwrap_or_else(|| panic!("`{line}` is no instruction"));
        (name.to_owned(), rest.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    instructions.collect()
}

/// What the image itself says, behind the last `FROM`.
fn of_image(name: &str) -> Vec<String> {
    let all = instructions();
    let begin = all.iter().rposition(|(name, _)| name == "FROM").unwrap();
    all[begin..].iter().filter(|(known, _)| known == name).map(|(_, rest)| rest.clone()).collect()
}

pub(super) fn of_image_once(name: &str) -> String {
    let [one] = &of_image(name)[..] else { panic!("not one {name}") };
    one.clone()
}

/// A variable that the image sets.
pub(super) fn variable(name: &str) -> String {
    let set = of_image_once("ENV");
    let mut set = set.split(' ').filter_map(|setting| setting.split_once('='));
    set.find(|(known, _)| *known == name).unwrap_or_else(|| panic!("no {name}")).1.to_owned()
}

pub(super) fn port() -> u16 {
    let listen: std::net::SocketAddr = variable("GATEWAY_LISTEN").parse().unwrap();
    listen.port()
}

fn words(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_else(|error| panic!("`{json}`: {error}"))
}

fn seconds(written: &str) -> Duration {
    let seconds = written.strip_suffix('s').and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or_else(|| panic!("`{written}` are no seconds")))
}

#[test]
fn the_image_starts_the_program_as_nobody_in_particular() {
    assert!(parsed(&words(&of_image_once("ENTRYPOINT"))).command.is_none(), "it serves by itself");
    assert_eq!(of_image_once("EXPOSE"), port().to_string());
    let user: u32 =
        of_image_once("USER").split(':').next().unwrap().parse().expect("a number, as nobody has names");
    assert_ne!(user, 0);
    for name in ["GATEWAY_CONFIG", "GATEWAY_DATA", "GATEWAY_LISTEN"] {
        assert!(is_variable_of_the_program(name) && !variable(name).is_empty(), "{name}");
    }
    assert_eq!(words(&of_image_once("VOLUME")), [variable("GATEWAY_DATA")]);
}

#[test]
fn the_image_asks_the_program_itself_how_it_is() {
    let check = of_image_once("HEALTHCHECK");
    let (flags, command) = check.split_once(" CMD ").unwrap();
    let Some(Asked::Health { url: Some(url) }) = parsed(&words(command)).command else {
        panic!("`{command}` does not ask at a place of its own");
    };
    assert_eq!(url.port_u16(), Some(port()));
    let timeout = flags.split(' ').find_map(|flag| flag.strip_prefix("--timeout=")).unwrap();
    assert!(seconds(timeout) > dsp_ai_gateway::commands::HEALTH_PATIENCE);
}

#[test]
fn the_image_is_built_of_what_is_there() {
    let built = instructions().into_iter().filter(|(name, _)| name == "RUN");
    let built: String = built.map(|(_, rest)| rest + "\n").collect();
    let folder = Path::new("/image").join(variable("GATEWAY_CONFIG").trim_start_matches('/'));
    let folder = folder.parent().unwrap().display().to_string();
    assert!(built.contains(&format!("--target-directory={folder} configs/*.toml")), "{built}");
    assert!(root().join("configs/gateway.toml").exists());
    // Neither keys nor accounts of the machine that builds.
    let left_out = read("packaging/Dockerfile.dockerignore");
    for path in ["**/.env", "data", "configs/data", ".git", "target"] {
        assert!(left_out.lines().any(|line| line == path), "no {path}");
    }
}

#[test]
fn the_composition_fits_the_image_and_the_shipped_configuration() {
    let compose: Value = serde_saphyr::from_str(&read("packaging/compose.yaml")).unwrap();
    let gateway = &compose["services"]["gateway"];
    let here = root().join("packaging");
    let built_in = here.join(gateway["build"]["context"].as_str().unwrap());
    assert!(built_in.join(gateway["build"]["dockerfile"].as_str().unwrap()).exists());
    for (name, value) in gateway["environment"].as_object().unwrap() {
        assert_eq!(value.as_str(), Some(&*variable(name)), "{name}");
    }
    assert_eq!(gateway["ports"][0], format!("127.0.0.1:{0}:{0}", port()));
    assert_outlasts(seconds(gateway["stop_grace_period"].as_str().unwrap()), &shipped().server);

    let config_dir = Path::new(&variable("GATEWAY_CONFIG")).parent().unwrap().to_path_buf();
    let clients = config_dir.join(shipped().clients_dir.file_name().unwrap());
    let (mut is_kept, data) = (Vec::new(), PathBuf::from(variable("GATEWAY_DATA")));
    for mount in gateway["volumes"].as_array().unwrap() {
        let mount: Vec<&str> = mount.as_str().unwrap().split(':').collect();
        let target = PathBuf::from(mount[1]);
        if mount[0].starts_with('.') {
            assert!(here.join(mount[0]).exists(), "no {}", mount[0]);
            assert!(target.starts_with(&config_dir), "{}", target.display());
            assert_eq!(target.file_name(), Path::new(mount[0]).file_name());
            assert_eq!(mount[2], "ro");
        } else {
            assert!(compose["volumes"].get(mount[0]).is_some(), "no volume {}", mount[0]);
            is_kept.push(target);
        }
    }
    assert_eq!(is_kept, [clients, data]);
}
