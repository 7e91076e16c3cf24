//! The audit log: each change with who made it, before anybody is told of it, and never a secret.

use gateway_testkit::TestGateway;
use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::{Answer, Request};
use serde_json::{Value, json};

use crate::admin_changes::admin;
use crate::commands::Folder;
use crate::program::Program;

/// Nobody listens here.
const NOWHERE: &str = "http://127.0.0.1:9/v1";

fn lines(gateway: &TestGateway) -> Vec<Value> {
    let file = gateway.folder().join("data/audit.log");
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

async fn done(gateway: &TestGateway, method: &str, path: &str, body: Option<&Value>) -> Answer {
    let answer = admin(gateway, method, path, body).await;
    assert!(matches!(answer.status, 200 | 201), "{path}: {}", answer.text());
    answer
}

#[tokio::test]
async fn every_change_is_recorded_with_its_author_and_what_was_before_and_after() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({"priority": 2})).start().await;
    let answer = done(&gateway, "PATCH", "/admin/clients/ada", Some(&json!({"priority": 3}))).await;
    let entry = &lines(&gateway)[0];
    assert_eq!((&entry["who"], &entry["address"]), (&json!("admin"), &json!("127.0.0.1")));
    assert_eq!(entry["request_id"], answer.header("x-request-id").unwrap());
    assert_eq!((&entry["what"], &entry["client"]), (&json!("client.change"), &json!("ada")));
    assert_eq!(entry["members"], json!({"priority": {"before": 2, "after": 3}}));
    let in_force = &lines(&gateway)[1];
    assert_eq!((&in_force["what"], &in_force["generation"]), (&json!("reload"), &json!(2)));
    assert_eq!(in_force["members"], entry["members"]);

    done(&gateway, "POST", "/admin/clients", Some(&json!({"id": "bob"}))).await;
    let rotated = done(&gateway, "POST", "/admin/clients/bob/rotate", None).await;
    done(&gateway, "POST", "/admin/clients/bob/disable", None).await;
    done(&gateway, "POST", "/admin/clients/bob/enable", None).await;
    let whats: Vec<String> = lines(&gateway)
        .iter()
        .filter_map(|line| Some(line["what"].as_str()?.strip_prefix("client.")?.to_owned()))
        .collect();
    assert_eq!(whats, ["change", "new", "rotate", "disable", "enable"]);

    // As operators see it, the newest first; never a secret or the hash of one.
    let seen = gateway.admin("/admin/audit?limit=2").await;
    let count = lines(&gateway).len();
    assert_eq!(seen["audit"], json!([lines(&gateway)[count - 1], lines(&gateway)[count - 2]]));
    let all = lines(&gateway).iter().map(Value::to_string).collect::<String>();
    let file = std::fs::read_to_string(gateway.folder().join("clients/bob.json")).unwrap();
    let hashes = file.split("sha256:").skip(1).map(|rest| &rest[..64]);
    for secret in hashes.chain(
        ["client_secret", "api_key"]
            .map(|name| rotated.json()[name].as_str().unwrap().to_owned().leak() as &str),
    ) {
        assert!(!all.contains(secret), "{secret}");
    }
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn what_changes_nothing_or_is_refused_is_not_recorded() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    assert_eq!(admin(&gateway, "PATCH", "/admin/clients/ada", Some(&json!({"nam": 1}))).await.status, 422);
    for (method, path) in [("POST", "/admin/reload"), ("POST", "/admin/clients/ada/enable")] {
        done(&gateway, method, path, None).await;
    }
    std::fs::write(gateway.folder().join("clients/bob.json"), "{").unwrap();
    assert_eq!(admin(&gateway, "POST", "/admin/reload", None).await.status, 422);
    assert_eq!(lines(&gateway), Vec::<Value>::new());
    gateway.ends_quiet().await;
}

/// A folder in the log's place cannot be written to, whoever one is.
#[tokio::test]
async fn a_change_that_cannot_be_recorded_is_refused_and_not_made() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).start().await;
    let log = gateway.folder().join("data/audit.log");
    std::fs::create_dir(&log).unwrap();
    let before = std::fs::read_to_string(gateway.folder().join("clients/ada.json")).unwrap();
    for (method, path, body) in [
        ("PATCH", "/admin/clients/ada", Some(json!({"priority": 3}))),
        ("POST", "/admin/clients/ada/rotate", None),
        ("POST", "/admin/clients/ada/disable", None),
        ("POST", "/admin/clients", Some(json!({"id": "bob"}))),
    ] {
        let answer = admin(&gateway, method, path, body.as_ref()).await;
        assert_eq!(answer.status, 503, "{path}: {}", answer.text());
        assert!(answer.text().contains("no change is made that is not recorded"), "{}", answer.text());
        assert!(answer.header("retry-after").is_some());
        assert!(!answer.text().contains("dspk_"));
    }
    assert_eq!(std::fs::read_to_string(gateway.folder().join("clients/ada.json")).unwrap(), before);
    assert_eq!(std::fs::read_dir(gateway.folder().join("clients")).unwrap().count(), 1);

    gateway.write_client("ada", &json!({"disabled": true}));
    assert_eq!(admin(&gateway, "POST", "/admin/reload", None).await.status, 503);
    let health = gateway.admin("/admin/health").await;
    assert!(health["last_reload"]["faults"][0]["msg"].as_str().unwrap().contains("audit.log"), "{health}");
    std::fs::remove_dir(&log).unwrap();
    done(&gateway, "POST", "/admin/reload", None).await;
    assert_eq!(lines(&gateway)[0]["members"], json!({"disabled": {"before": false, "after": true}}));
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn files_that_people_change_by_hand_are_recorded_when_the_watch_has_seen_them() {
    let gateway = TestGateway::at(NOWHERE).client("ada", json!({})).watching().start().await;
    gateway.write_client("ada", &json!({"rate_limit": {"requests_per_minute": 5}}));
    let recorded = async {
        while lines(&gateway).is_empty() {
            tokio::time::sleep(std::time::Duration::from_millis(2)).await;
        }
    };
    patiently("the change to be recorded", recorded).await;
    let entry = &lines(&gateway)[0];
    assert_eq!(
        (&entry["who"], &entry["what"], &entry["client"]),
        (&json!("watch"), &json!("reload"), &json!("ada"))
    );
    assert_eq!(entry["members"], json!({"rate_limit.requests_per_minute": {"before": null, "after": 5}}));

    // A client may ask for a reload too.
    let toml = gateway.folder().join("gateway.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(&toml, format!("timeouts.connect = \"1s\"\n{text}")).unwrap();
    let request = Request::get("/api/v1/clients/reload").header("x-api-key", "key-ada");
    assert_eq!(gateway.ask(&request).await.status, 200);
    let entry = lines(&gateway).last().cloned().unwrap();
    assert_eq!((&entry["who"], &entry["by"]), (&json!("client"), &json!("ada")));
    assert_eq!(entry["settings"], json!(["timeouts", "providers"]), "providers have clocks of their own");
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn commands_and_signals_are_recorded_as_well() {
    let folder = Folder::new();
    folder.done(&["client", "new", "ada"]);
    let gateway = Program::start(&folder.0).await;
    folder.done(&["client", "disable", "ada"]);
    let lines = || -> Vec<Value> {
        let text = std::fs::read_to_string(folder.0.join("data/audit.log")).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let shown =
        |line: &Value| format!("{} {}", line["who"].as_str().unwrap(), line["what"].as_str().unwrap());
    assert_eq!(lines().iter().map(shown).collect::<Vec<_>>(), ["cli client.new", "cli client.disable"]);
    #[cfg(unix)]
    {
        assert!(lines()[0]["uid"].is_u64());
        gateway.signal("HUP");
        let recorded = async {
            while lines().len() < 3 {
                tokio::time::sleep(std::time::Duration::from_millis(2)).await;
            }
        };
        patiently("the reload to be recorded", recorded).await;
        assert_eq!(shown(&lines()[2]), "SIGHUP reload");
        assert_eq!(lines()[2]["members"], json!({"disabled": {"before": false, "after": true}}));
    }
    drop(gateway);

    std::fs::remove_file(folder.0.join("data/audit.log")).unwrap();
    std::fs::create_dir(folder.0.join("data/audit.log")).unwrap();
    let refused = folder.run(&["client", "enable", "ada"], b"");
    assert_eq!((refused.code, refused.said.as_str()), (1, ""));
    assert!(refused.told.contains("audit.log: cannot be opened"), "{}", refused.told);
}
