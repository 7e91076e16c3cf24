//! `[clients] watch`: a changed file is loaded by itself, however it was changed.

use gateway_testkit::deadline::patiently;
use gateway_testkit::raw_client::Request;
use gateway_testkit::test_gateway::write_client;
use gateway_testkit::{FakeUpstream, TestGateway};
use serde_json::json;

async fn watching() -> (FakeUpstream, TestGateway) {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).watching().start().await;
    (upstream, gateway)
}

/// The status of a reload that `ada` asks for.
async fn reload(gateway: &TestGateway) -> u16 {
    gateway.ask(&Request::get("/api/v1/clients/reload").header("x-api-key", "key-ada")).await.status
}

/// Asks until the answer to this client has the status.
async fn gets(gateway: &TestGateway, client: &str, status: u16) {
    let asks = async { while gateway.chat(client, "hi").await.status != status {} };
    patiently(&format!("{client} to get a {status}"), asks).await;
}

#[tokio::test]
async fn a_client_file_that_is_added_changed_or_removed_counts_by_itself() {
    let (_upstream, gateway) = watching().await;
    gateway.write_client("bob", &json!({}));
    gets(&gateway, "bob", 200).await;
    gateway.write_client("bob", &json!({"rate_limit": {"requests_per_minute": 0}}));
    gets(&gateway, "bob", 429).await;
    std::fs::remove_file(gateway.folder().join("clients/bob.json")).unwrap();
    gets(&gateway, "bob", 401).await;
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    gateway.ends_quiet().await;
}

/// As an editor does it that writes in place, and as one that moves the old file aside first.
#[tokio::test]
async fn a_file_counts_however_an_editor_saves_it() {
    let (_upstream, gateway) = watching().await;
    let file = gateway.folder().join("clients/ada.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let disabled = text.replace("\"name\"", "\"disabled\":true,\"name\"");

    std::fs::write(&file, &disabled).unwrap();
    gets(&gateway, "ada", 401).await;

    std::fs::rename(&file, file.with_extension("json~")).unwrap();
    std::fs::write(&file, &text).unwrap();
    gets(&gateway, "ada", 200).await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_broken_file_changes_nothing_until_it_is_mended() {
    let (_upstream, gateway) = watching().await;
    std::fs::write(gateway.folder().join("clients/cyd.json"), "{ half a").unwrap();
    gateway.write_client("bob", &json!({}));
    assert_eq!(reload(&gateway).await, 422);
    assert_eq!(gateway.chat("ada", "hi").await.status, 200);
    assert_eq!(gateway.chat("bob", "hi").await.status, 401, "all or nothing");
    gateway.write_client("cyd", &json!({}));
    for client in ["bob", "cyd"] {
        gets(&gateway, client, 200).await;
    }
    gateway.ends_quiet().await;
}

/// The status that operators see.
async fn is_told(gateway: &TestGateway, status: &str) {
    let asks = async { while gateway.admin("/admin/health").await["status"] != status {} };
    patiently(&format!("the health to be {status}"), asks).await;
}

/// A program that writes in place leaves half a file for a moment, or for as long as it is stuck.
#[tokio::test]
async fn a_file_that_is_written_in_two_steps_counts_once_it_is_whole() {
    let (_upstream, gateway) = watching().await;
    let file = gateway.folder().join("clients/ada.json");
    let text = std::fs::read_to_string(&file).unwrap();
    let disabled = text.replace("\"name\"", "\"disabled\":true,\"name\"");
    let (first, rest) = disabled.split_at(disabled.len() / 2);

    std::fs::write(&file, first).unwrap();
    is_told(&gateway, "degraded").await;
    let told = gateway.admin("/admin/health").await["last_reload"].clone();
    assert_eq!((&told["by"], &told["ok"]), (&json!("watch"), &json!(false)));
    assert!(told["faults"][0]["msg"].as_str().unwrap().contains("ada.json:1:"), "{told}");
    assert_eq!(gateway.chat("ada", "hi").await.status, 200, "the old set goes on");
    let mut open = std::fs::OpenOptions::new().append(true).open(&file).unwrap();
    std::io::Write::write_all(&mut open, rest.as_bytes()).unwrap();
    drop(open);
    gets(&gateway, "ada", 401).await;
    is_told(&gateway, "ok").await;
    gateway.ends_quiet().await;
}

#[tokio::test]
async fn a_file_that_is_deleted_and_made_again_counts_both_times() {
    let (_upstream, gateway) = watching().await;
    let file = gateway.folder().join("clients/ada.json");
    let text = std::fs::read_to_string(&file).unwrap();
    std::fs::remove_file(&file).unwrap();
    gets(&gateway, "ada", 401).await;
    std::fs::write(&file, text).unwrap();
    gets(&gateway, "ada", 200).await;
    gateway.ends_quiet().await;
}

/// A deployment that swaps the whole folder; the system's watch goes with the old one.
#[tokio::test]
async fn a_folder_that_is_replaced_or_away_for_a_while_is_watched_again() {
    let (_upstream, gateway) = watching().await;
    let (clients, aside) = (gateway.folder().join("clients"), gateway.folder().join("clients-old"));
    let next = gateway.folder().join("next");
    std::fs::create_dir_all(next.join("clients")).unwrap();
    write_client(&next, "bob", &json!({}));
    std::fs::rename(&clients, &aside).unwrap();
    std::fs::rename(next.join("clients"), &clients).unwrap();
    gets(&gateway, "bob", 200).await;
    gets(&gateway, "ada", 401).await;

    // The set in force stays while there is no folder.
    std::fs::remove_dir_all(&clients).unwrap();
    assert_eq!(gateway.chat("bob", "hi").await.status, 200);
    std::fs::rename(&aside, &clients).unwrap();
    gets(&gateway, "ada", 200).await;
    gateway.write_client("cyd", &json!({}));
    gets(&gateway, "cyd", 200).await;
    gateway.ends_quiet().await;
}

/// Kubernetes mounts each file as a link through `..data`, and swaps that link alone.
#[cfg(unix)]
#[tokio::test]
async fn configuration_that_is_mounted_through_a_link_counts_when_the_link_is_swapped() {
    use std::os::unix::fs::symlink;
    let (_upstream, gateway) = watching().await;
    let clients = gateway.folder().join("clients");
    let version = |name: &str, disabled: bool| {
        let folder = clients.join(name);
        std::fs::create_dir_all(folder.join("clients")).unwrap();
        write_client(&folder, "bob", &json!({"disabled": disabled}));
        std::fs::rename(folder.join("clients/bob.json"), folder.join("bob.json")).unwrap();
    };
    version("..2026_01", true);
    symlink("..2026_01", clients.join("..data")).unwrap();
    symlink("..data/bob.json", clients.join("bob.json")).unwrap();
    gets(&gateway, "bob", 401).await;

    version("..2026_02", false);
    symlink("..2026_02", clients.join("..data_tmp")).unwrap();
    std::fs::rename(clients.join("..data_tmp"), clients.join("..data")).unwrap();
    gets(&gateway, "bob", 200).await;
    gateway.ends_quiet().await;
}

/// Which folder is watched, and whether, follows the settings in force.
#[tokio::test]
async fn a_reload_that_names_another_folder_moves_the_watch_there() {
    let upstream = FakeUpstream::start().await;
    let gateway = TestGateway::with(&upstream).client("ada", json!({})).start().await;
    let other = gateway.folder().join("other");
    std::fs::create_dir_all(other.join("clients")).unwrap();
    write_client(&other, "bob", &json!({}));
    let toml = gateway.folder().join("gateway.toml");
    let text = std::fs::read_to_string(&toml).unwrap();
    std::fs::write(
        &toml,
        text.replace("clients.watch = false", "clients = {watch = true, dir = \"other/clients\"}"),
    )
    .unwrap();
    assert_eq!(reload(&gateway).await, 200);
    assert_eq!(gateway.chat("bob", "hi").await.status, 200);
    write_client(&other, "cyd", &json!({}));
    gets(&gateway, "cyd", 200).await;
    gateway.ends_quiet().await;
}
