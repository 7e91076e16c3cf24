//! What the program is made of: licences that may be, and a bill of materials that leaves nothing out.

use std::collections::HashMap;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use spdx::{Expression, LicenseReq, ParseMode};
use toml::Table;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn table(file: &str) -> Table {
    std::fs::read_to_string(root().join(file)).unwrap().parse().unwrap()
}

/// What cargo knows of every locked crate; on a machine without a network of those that were fetched for it.
fn packages() -> Vec<Value> {
    let metadata = |more: &[&str]| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo
            .args(["metadata", "--format-version", "1", "--locked", "--quiet"])
            .args(more)
            .current_dir(root());
        cargo.output().unwrap()
    };
    let mut known = metadata(&[]);
    if !known.status.success() {
        let host = Command::new("rustc").args(["-vV"]).output().unwrap();
        let host = String::from_utf8(host.stdout).unwrap();
        let host = host.lines().find_map(|line| line.strip_prefix("host: ")).unwrap();
        known = metadata(&["--offline", "--filter-platform", host]);
    }
    assert!(known.status.success(), "{}", String::from_utf8_lossy(&known.stderr));
    let Value::Array(packages) = serde_json::from_slice::<Value>(&known.stdout).unwrap()["packages"].take()
    else {
        panic!("cargo names no packages");
    };
    packages
}

#[test]
fn every_dependency_has_a_licence_that_is_allowed() {
    let deny = table("deny.toml");
    let allowed: Vec<LicenseReq> = deny["licenses"]["allow"]
        .as_array()
        .unwrap()
        .iter()
        .map(|licence| {
            let expression = Expression::parse(licence.as_str().unwrap()).unwrap();
            let mut requirements = expression.requirements();
            requirements.next().unwrap().req.clone()
        })
        .collect();
    let mut is_used = vec![false; allowed.len()];
    let mut refused = Vec::new();
    for package in packages() {
        let licence =
            package["license"].as_str().unwrap_or_else(|| panic!("{}: no licence", package["name"]));
        let expression = Expression::parse_mode(licence, ParseMode::LAX).unwrap();
        let may_be = expression.evaluate(|requirement| {
            let found = allowed.iter().position(|allowed| allowed == requirement);
            found.inspect(|place| is_used[*place] = true).is_some()
        });
        if !may_be {
            refused.push(format!("{}: {licence}", package["name"]));
        }
    }
    assert!(refused.is_empty(), "deny.toml does not allow:\n{}", refused.join("\n"));
    let unused: Vec<_> =
        allowed.iter().zip(is_used).filter(|(_, used)| !used).map(|(licence, _)| licence).collect();
    assert!(unused.is_empty(), "deny.toml allows what nothing has: {unused:?}");
}

/// Python is what the SDKs' tests need as well; where there is none, there is no bill.
#[test]
fn the_bill_of_materials_names_every_locked_crate_and_is_the_same_each_time() {
    let bill = || {
        let mut python = Command::new("python3");
        python
            .arg("scripts/sbom.py")
            .current_dir(root())
            .env_remove("SOURCE_DATE_EPOCH")
            .env("CARGO", env!("CARGO"));
        python.output()
    };
    let Ok(first) = bill() else { return };
    assert!(first.status.success(), "{}", String::from_utf8_lossy(&first.stderr));
    assert_eq!(first.stdout, bill().unwrap().stdout);

    let bill: Value = serde_json::from_slice(&first.stdout).unwrap();
    let components = bill["components"].as_array().unwrap().iter().chain([&bill["metadata"]["component"]]);
    let named: HashMap<&str, &Value> =
        components.map(|component| (component["purl"].as_str().unwrap(), component)).collect();
    let lock = table("Cargo.lock");
    let locked = lock["package"].as_array().unwrap();
    assert_eq!(named.len(), locked.len());
    for package in locked {
        let text = |member: &str| package.get(member).and_then(|value| value.as_str());
        let purl = format!("pkg:cargo/{}@{}", text("name").unwrap(), text("version").unwrap());
        let component = named.get(&*purl).unwrap_or_else(|| panic!("no {purl}"));
        assert_eq!(component["hashes"][0]["content"].as_str(), text("checksum"), "{purl}");
        assert!(component["licenses"][0]["expression"].is_string(), "{purl}");
    }
    let scope = |name: &str| {
        let mut of_name = named.values().filter(|component| component["name"] == name);
        of_name.next().unwrap()["scope"].as_str().unwrap().to_owned()
    };
    for name in ["tokio", "ractor", "warp", "gateway-limits"] {
        assert_eq!(scope(name), "required", "{name}");
    }
    for name in ["gateway-testkit", "proptest", "spdx"] {
        assert_eq!(scope(name), "excluded", "{name}");
    }
}
