//! nginx as the measure: a key looked up in a `map`, then the same proxying over kept-alive connections.
//!
//! Owns     nginx's configuration and its process tree (a master and two workers).
//! Called   by [`crate::bench`] when an nginx is on the machine; nothing is installed.
//! Bounded  by [`START_LIMIT`] until it serves.
//! Fails    as [`LoadError::NotServing`] with the end of its error log.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::error::LoadError;
use crate::keys::{CLIENTS, UPSTREAM_KEY, api_key, client_id};
use crate::run_folder::RunFolder;
use crate::server_process::{START_LIMIT, ServerProcess, Stop};

/// Distributions keep nginx where an ordinary user's PATH may not lead.
const USUAL_FOLDERS: [&str; 3] = ["/usr/sbin", "/usr/local/sbin", "/usr/local/nginx/sbin"];

/// How often it is tried whether nginx serves yet: it gives no sign of its own.
const TRY_EVERY: Duration = Duration::from_millis(20);

const CONFIG: &str = "nginx.conf";
const KEY_MAP: &str = "keys.map";
const ERROR_LOG: &str = "nginx-error.log";

/// The nginx on the PATH or in the usual places.
pub fn find() -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = USUAL_FOLDERS.map(PathBuf::from);
    std::env::split_paths(&path).chain(usual).map(|folder| folder.join("nginx")).find(|file| file.is_file())
}

/// What nginx says of its version and its build (`nginx -V`, which answers on standard error).
fn build_text(program: &Path) -> std::io::Result<String> {
    let output = Command::new(program).arg("-V").stdin(Stdio::null()).output()?;
    Ok(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// nginx's version, as `nginx/1.22.1`.
pub fn version(program: &Path) -> Option<String> {
    let text = build_text(program).ok()?;
    text.lines().find_map(|line| line.strip_prefix("nginx version: ")).map(str::to_owned)
}

/// Starts nginx in front of `upstream` and waits until it serves.
pub async fn start(
    program: &Path,
    folder: &RunFolder,
    upstream: SocketAddr,
) -> Result<(ServerProcess, SocketAddr), LoadError> {
    let address = free_address().await.map_err(LoadError::io("finding a free port for nginx"))?;
    let build = build_text(program)
        .map_err(|source| LoadError::NotRunnable { program: program.to_owned(), source })?;
    let write = |name: &str, text: String| std::fs::write(folder.path().join(name), text);
    write(KEY_MAP, key_map()).map_err(LoadError::io("writing nginx's key map"))?;
    write(CONFIG, config(address, upstream, &build))
        .map_err(LoadError::io("writing nginx's configuration"))?;

    let command = || {
        let mut command = Command::new(program);
        command.arg("-p").arg(folder.path()).args(["-c", CONFIG, "-e", ERROR_LOG]).env_clear();
        command
    };
    let mut stop = command();
    stop.args(["-s", "stop"]);
    let mut server = ServerProcess::start(command(), Stop::Tell(stop))?;

    let started = Instant::now();
    while TcpStream::connect(address).await.is_err() {
        if server.has_ended() || started.elapsed() > START_LIMIT {
            return Err(LoadError::NotServing { server: "nginx", log: folder.log_tail(ERROR_LOG) });
        }
        tokio::time::sleep(TRY_EVERY).await;
    }
    Ok((server, address))
}

/// nginx cannot say which port it was given, so one is chosen that was free a moment ago. Should somebody
/// take it first, nginx says so and the run ends.
async fn free_address() -> std::io::Result<SocketAddr> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?.local_addr()
}

/// The look-up: the whole `Authorization` value to the client it belongs to.
fn key_map() -> String {
    (0..CLIENTS).fold(String::new(), |mut map, index| {
        // Writing to a string does not fail.
        let _infallible = writeln!(map, "\"Bearer {}\" {};", api_key(index), client_id(index));
        map
    })
}

/// One worker per core, as the gateway has threads. `reuseport` shares the connections out evenly;
/// `proxy_buffering off` sends stream chunks on as they come, and costs plain answers nothing. Every path
/// is inside the run's folder, so nothing of an installed nginx is touched; `build` tells which protocols
/// it was built with, each of which has a folder of its own to be told.
fn config(address: SocketAddr, upstream: SocketAddr, build: &str) -> String {
    let workers = std::thread::available_parallelism().map_or(1, usize::from);
    let folders: String = ["fastcgi", "uwsgi", "scgi"]
        .into_iter()
        .filter(|protocol| !build.contains(&format!("--without-http_{protocol}_module")))
        .map(|protocol| format!("    {protocol}_temp_path {protocol};\n"))
        .collect();
    format!(
        r#"daemon off;
master_process on;
worker_processes {workers};
pid nginx.pid;
events {{ worker_connections 16384; }}
http {{
    access_log off;
    client_body_temp_path body;
    proxy_temp_path proxy;
{folders}    client_body_buffer_size 64k;
    keepalive_timeout 75s;
    keepalive_requests 1000000000;
    map_hash_max_size 16384;
    map_hash_bucket_size 256;
    map $http_authorization $client {{
        default "";
        include {KEY_MAP};
    }}
    upstream openai {{
        server {upstream};
        keepalive 1024;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address} reuseport backlog=8192;
        location / {{
            if ($client = "") {{ return 401; }}
            proxy_pass http://openai;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Authorization "Bearer {UPSTREAM_KEY}";
            proxy_buffering off;
        }}
    }}
}}
"#
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_a_line_for_every_client() {
        let map = key_map();
        assert_eq!(map.lines().count(), CLIENTS);
        assert!(map.lines().all(|line| line.starts_with("\"Bearer load-key-") && line.ends_with(';')));
    }

    #[test]
    fn the_configuration_names_no_place_outside_its_folder() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let config = config(any, any, "--with-threads");
        assert!(config.contains("scgi_temp_path scgi;"));
        assert!(!config.contains(" /tmp") && !config.contains(" /var") && !config.contains(" /etc"));
        assert_eq!(config.matches('{').count(), config.matches('}').count());
    }

    #[test]
    fn a_protocol_that_nginx_was_built_without_is_not_named() {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 1));
        let config = config(any, any, "--without-http_scgi_module");
        assert!(config.contains("uwsgi_temp_path") && !config.contains("scgi_temp_path scgi"));
    }
}
