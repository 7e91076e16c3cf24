//! The manifest for Kubernetes.

use dsp_ai_gateway::routes;
use http::Method;
use serde_json::Value;

use super::*;

struct Manifest(Vec<Value>);

impl Manifest {
    fn read() -> Self {
        Self(serde_saphyr::from_multiple(&read("packaging/kubernetes.yaml")).unwrap())
    }

    fn one(&self, kind: &str) -> &Value {
        let mut of_kind = self.0.iter().filter(|object| object["kind"] == kind);
        let one = of_kind.next().unwrap_or_else(|| panic!("no {kind}"));
        assert!(of_kind.next().is_none(), "several {kind}");
        one
    }

    fn pod(&self) -> &Value {
        &self.one("StatefulSet")["spec"]["template"]["spec"]
    }

    fn container(&self) -> &Value {
        &self.pod()["containers"][0]
    }

    /// The settings that the pod has.
    fn settings(&self) -> Settings {
        let folder = tempfile::tempdir().unwrap();
        let config = folder.path().join("gateway.toml");
        std::fs::write(&config, self.one("ConfigMap")["data"]["gateway.toml"].as_str().unwrap()).unwrap();
        settings(&config)
    }

    fn mounted(&self, volume: &str) -> PathBuf {
        let mounts = self.container()["volumeMounts"].as_array().unwrap();
        let mount =
            mounts.iter().find(|mount| mount["name"] == volume).unwrap_or_else(|| panic!("no {volume}"));
        mount["mountPath"].as_str().unwrap().into()
    }
}

#[test]
fn every_object_has_a_name_and_those_that_belong_together_share_it() {
    let manifest = Manifest::read();
    for object in &manifest.0 {
        for member in ["apiVersion", "kind"] {
            assert!(object[member].is_string(), "{object}");
        }
        assert!(object["metadata"]["name"].as_str().unwrap().starts_with("dsp-ai-gateway"));
    }
    let set = manifest.one("StatefulSet");
    let labels = &set["spec"]["template"]["metadata"]["labels"];
    assert_eq!(&set["spec"]["selector"]["matchLabels"], labels);
    assert_eq!(&manifest.one("Service")["spec"]["selector"], labels);
    assert_eq!(set["spec"]["serviceName"], manifest.one("Service")["metadata"]["name"]);
    assert_eq!(
        manifest.container()["envFrom"][0]["secretRef"]["name"],
        manifest.one("Secret")["metadata"]["name"]
    );
    let volumes = manifest.pod()["volumes"].as_array().unwrap();
    let config = volumes.iter().find(|volume| volume["name"] == "config").unwrap();
    assert_eq!(config["configMap"]["name"], manifest.one("ConfigMap")["metadata"]["name"]);
}

#[test]
fn its_configuration_can_be_used_and_its_secret_has_the_variables_of_the_keys() {
    let manifest = Manifest::read();
    let settings = manifest.settings();
    let mut wanted: Vec<&str> = settings
        .providers
        .values()
        .flat_map(|provider| &provider.keys)
        .filter_map(|key| match &key.source {
            KeySource::Variable(name) => Some(&**name),
            KeySource::File(_) | KeySource::NotNeeded => None,
        })
        .chain(["GATEWAY_ADMIN_TOKEN"])
        .collect();
    let secret = manifest.one("Secret")["stringData"].as_object().unwrap();
    let mut named: Vec<&str> = secret.keys().map(String::as_str).collect();
    wanted.sort_unstable();
    named.sort_unstable();
    assert_eq!(named, wanted);
    assert!(secret.values().all(|value| value == ""), "a key is in the repository");
}

#[test]
fn the_pod_is_one_and_has_the_places_of_the_image() {
    let manifest = Manifest::read();
    assert_eq!(manifest.one("StatefulSet")["spec"]["replicas"], 1, "there is one gateway to a ledger");
    let config = PathBuf::from(container::variable("GATEWAY_CONFIG"));
    assert_eq!(Some(&*manifest.mounted("config")), config.parent());
    assert_eq!(manifest.mounted("clients"), manifest.settings().clients_dir);
    assert_eq!(manifest.mounted("data"), PathBuf::from(container::variable("GATEWAY_DATA")));
    let security = &manifest.pod()["securityContext"];
    let user = format!("{}:{}", security["runAsUser"], security["runAsGroup"]);
    assert_eq!(user, container::of_image_once("USER"));
    assert_eq!(security["fsGroup"], security["runAsGroup"], "the volume is the gateway's");
    let arguments = manifest.container()["args"].as_array().unwrap();
    let words = arguments.iter().map(|word| word.as_str().unwrap().to_owned());
    parsed(&["dsp-ai-gateway".to_owned()].into_iter().chain(words).collect::<Vec<_>>());
}

#[test]
fn its_probes_and_ports_are_those_of_the_program() {
    let manifest = Manifest::read();
    let port = &manifest.container()["ports"][0];
    assert_eq!(port["containerPort"], container::port());
    assert_eq!(manifest.settings().server.listen.to_string(), container::variable("GATEWAY_LISTEN"));
    assert_eq!(manifest.one("Service")["spec"]["ports"][0]["targetPort"], port["name"]);
    for (probe, path) in
        [("startupProbe", "/livez"), ("livenessProbe", "/livez"), ("readinessProbe", "/readyz")]
    {
        let asked = &manifest.container()[probe]["httpGet"];
        assert_eq!((&asked["path"], &asked["port"]), (&Value::from(path), &port["name"]), "{probe}");
        assert!(routes::find(&Method::GET, path).is_ok(), "{path}");
    }
}

#[test]
fn the_pod_has_time_to_stop_and_memory_for_what_it_may_hold() {
    let manifest = Manifest::read();
    let server = manifest.settings().server;
    let grace = manifest.pod()["terminationGracePeriodSeconds"].as_u64().unwrap();
    assert_outlasts(Duration::from_secs(grace), &server);
    assert!(
        server.shutdown_delay > Duration::ZERO,
        "a Service sends requests for a while after a pod is to stop"
    );
    let limit = manifest.container()["resources"]["limits"]["memory"].as_str().unwrap();
    let limit: u64 = limit.strip_suffix("Mi").unwrap().parse().unwrap();
    assert!(limit << 20 > server.max_buffered_bytes);
}

/// How Kubernetes mounts a ConfigMap: each file a link through `..data` into a hidden folder.
#[cfg(unix)]
#[test]
fn clients_are_read_from_a_mounted_config_map() {
    use std::os::unix::fs::symlink;

    let folder = tempfile::tempdir().unwrap();
    let mounted = folder.path().join("clients");
    let version = mounted.join("..2026_11_25_10_00_00.1");
    std::fs::create_dir_all(&version).unwrap();
    std::fs::write(version.join("ada.json"), "{\"client_id\": \"ada\"}").unwrap();
    symlink(version.file_name().unwrap(), mounted.join("..data")).unwrap();
    symlink("..data/ada.json", mounted.join("ada.json")).unwrap();
    std::fs::write(folder.path().join("gateway.toml"), "[providers.echo]\n").unwrap();
    let checked = crate::program::command(folder.path(), &["check"]).output().unwrap();
    let said = String::from_utf8(checked.stdout).unwrap();
    assert_eq!(said, "the configuration can be used: 1 clients, 1 providers\n");
}
