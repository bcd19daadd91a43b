//! The program as a system service: notifications to the service manager, secret files, and what a server build excludes.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

/// The program without any `BURSAR_` variables.
pub fn bursar(folder: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bursar"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("BURSAR_")) {
        command.env_remove(name);
    }
    command.env_remove("NOTIFY_SOCKET").env_remove("WATCHDOG_USEC").env_remove("WATCHDOG_PID");
    command.current_dir(folder);
    command
}

/// A service that notifies a socket of this test.
pub struct Started {
    child: Child,
    socket: UnixDatagram,
}

impl Started {
    /// Starts a command with a socket in the file system.
    pub fn of(command: Command, socket: &Path, more: &[(&str, &str)]) -> Self {
        Self::told(command, UnixDatagram::bind(socket).unwrap(), &socket.display().to_string(), more)
    }

    fn told(mut command: Command, socket: UnixDatagram, place: &str, more: &[(&str, &str)]) -> Self {
        socket.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        command.envs(more.iter().copied()).env("NOTIFY_SOCKET", place);
        let child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        Self { child, socket }
    }

    /// The next notification must be this one.
    pub fn hears(&self, what: &str) {
        assert_eq!(self.next(), what);
    }

    fn next(&self) -> String {
        let mut bytes = [0; 256];
        let read = self.socket.recv(&mut bytes).unwrap();
        String::from_utf8(bytes[..read].to_vec()).unwrap()
    }

    /// Stops it, expects the stop notification, and waits for its end.
    pub fn stop(mut self) {
        let asked = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(asked.success());
        let mut message = self.next();
        while message == "WATCHDOG=1" {
            message = self.next();
        }
        assert_eq!(message, "STOPPING=1");
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn the_manager_is_told_that_it_works_lives_and_stops() {
    let folder = tempfile::tempdir().unwrap();
    let serve = || {
        let mut command = bursar(folder.path());
        command
            .args(["serve", "--listen=127.0.0.1:0"])
            .env("BURSAR_MARK_FILE", folder.path().join("elsewhere.mark"));
        command
    };
    let started = Started::of(serve(), &folder.path().join("notify"), &[("WATCHDOG_USEC", "600000")]);
    started.hears("READY=1");
    for _ in 0..3 {
        started.hears("WATCHDOG=1");
    }
    started.stop();
    assert!(folder.path().join("elsewhere.mark").exists() && !folder.path().join("bursar.key.mark").exists());

    // An abstract socket, and a watchdog meant for another process.
    let name = format!("bursar-it-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let socket = UnixDatagram::bind_addr(&address).unwrap();
    let others = [("WATCHDOG_USEC", "600000"), ("WATCHDOG_PID", "1")];
    let started = Started::told(serve(), socket, &format!("@{name}"), &others);
    started.hears("READY=1");
    std::thread::sleep(Duration::from_secs(1));
    let asked = Command::new("kill").args(["-TERM", &started.child.id().to_string()]).status().unwrap();
    assert!(asked.success());
    started.hears("STOPPING=1");
}

/// The log's disk is full, or the log collector is gone: Bursar responds, and its loops continue.
#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    for full in [true, false] {
        let folder = tempfile::tempdir().unwrap();
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = bursar(folder.path());
        command.args(["serve", &format!("--listen={address}")]).stdout(Stdio::null());
        command.stderr(match full {
            true => File::options().write(true).open("/dev/full").unwrap().into(),
            false => Stdio::piped(),
        });
        let mut child = command.spawn().unwrap();
        drop(child.stderr.take());
        let ask = |path: &str| -> Option<String> {
            let mut stream = TcpStream::connect(address).ok()?;
            stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
            write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").ok()?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).ok()?;
            Some(answer.split("\r\n").next().unwrap_or_default().to_owned())
        };
        let ready = (0..300).any(|_| {
            std::thread::sleep(Duration::from_millis(200));
            ask("/readyz").is_some_and(|answer| answer.contains("200"))
        });
        assert!(ready, "it came up");
        // Each of these requests logs a line that cannot be written.
        for _ in 0..5 {
            assert!(ask("/api/v1/rewards").unwrap().contains("401"));
            assert!(ask("/nothing").unwrap().contains("404"));
        }
        std::thread::sleep(Duration::from_secs(2));
        assert!(ask("/readyz").unwrap().contains("200"), "the loops go round");
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

const SECRETS: [(&str, &str); 4] = [
    ("BURSAR_DATABASE_URL", "sqlite://PLANTED-1.db"),
    ("BURSAR_SMTP_URL", "smtps://user:PLANTED-2@mail.example.com"),
    ("BURSAR_METRICS_TOKEN", "PLANTED-3"),
    ("BURSAR_OIDC_CLIENT_SECRET", "PLANTED-4"),
];

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.clone(), output.stderr.clone()].concat()).into_owned()
}

#[test]
fn a_secret_lies_in_a_file_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str, mode: u32| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
        file
    };
    let files = SECRETS.map(|(name, secret)| (name, write(name, &format!("{secret}\n"), 0o600)));
    let check = |extra: &[(&str, &str)], arguments: &[&str]| {
        let mut command = bursar(folder.path());
        for (name, file) in &files {
            command.env(format!("{name}_FILE"), file);
        }
        command.envs(extra.iter().copied()).args(arguments).output().unwrap()
    };
    assert!(check(&[], &["init"]).status.success());
    assert!(folder.path().join("PLANTED-1.db").exists(), "the address in the file is the one that counts");
    for arguments in [&["config", "check"][..], &["config", "check", "--json"]] {
        let said = told(&check(&[], arguments));
        for (name, file) in &files {
            assert!(said.contains(&format!("(from {})", file.display())), "{name}: {said}");
        }
        for planted in ["PLANTED-2", "PLANTED-3", "PLANTED-4"] {
            assert!(!said.contains(planted), "{said}");
        }
    }
    for (name, _) in SECRETS {
        let output = check(&[(name, "sqlite://bursar.db")], &["config", "check"]);
        let both = format!("{name} and {name}_FILE are both set: keep one");
        assert!(output.status.code() == Some(2) && told(&output).contains(&both), "{}", told(&output));
        assert_ne!(
            check(&[(name, "")], &["config", "check"]).status.code(),
            Some(2),
            "{name}: an empty one is none"
        );
    }
    let other = write("other", "sqlite://PLANTED-6.db", 0o600).display().to_string();
    let flag = |flag: String| told(&check(&[], &["config", "check", &flag]));
    let said = flag("--database-url=sqlite://elsewhere.db".to_owned());
    assert!(
        said.contains("sqlite://elsewhere.db\n") && !said.contains("PLANTED-1"),
        "a flag counts first: {said}"
    );
    let said = flag(format!("--database-url-file={other}"));
    assert!(said.contains(&format!("sqlite://PLANTED-6.db (from {other})")), "{said}");
    let both =
        ["config", "check", "--database-url=sqlite://elsewhere.db", &format!("--database-url-file={other}")];
    assert_eq!(check(&[], &both).status.code(), Some(2));
    let mut command = bursar(folder.path());
    command.env("BURSAR_DATABASE_URL", "sqlite://elsewhere.db").args([
        "config",
        "check",
        "--database-url-file",
        &other,
    ]);
    assert!(
        told(&command.output().unwrap()).contains("PLANTED-6"),
        "as a role that owns the tables, beside one that serves"
    );
    let open = write("open", "PLANTED-5", 0o644).display().to_string();
    let empty = write("empty", "\n", 0o600).display().to_string();
    for (file, why) in
        [(open.as_str(), "chmod 600"), (&empty, "it is empty"), ("/nowhere/at/all", "cannot be used")]
    {
        let output = check(&[("BURSAR_SMTP_URL_FILE", file)], &["config", "check"]);
        let said = told(&output);
        assert!(output.status.code() == Some(2) && said.contains(why) && said.contains(file), "{said}");
        assert!(said.contains("BURSAR_SMTP_URL_FILE") && !said.contains("PLANTED-5"), "{said}");
    }
}

/// Installed builds suggest no command that they do not have, and serve no page meant for developers of pages.
#[test]
fn what_is_installed_speaks_of_no_simulator() {
    let mut found = 0;
    for file in crate::source::files(&[".rs", ".html"]) {
        let path = file.path.as_str();
        if !path.contains("crates/bursar/src/")
            || path.contains("/cli/demo")
            || path.contains("/cli/simulator")
        {
            continue;
        }
        let lines: Vec<&str> = file.text.lines().collect();
        for (place, line) in lines.iter().enumerate() {
            if line.contains("`bursar simulator`") && !line.trim_start().starts_with("//") {
                found += 1;
                let before = &lines[place.saturating_sub(2)..place];
                assert!(
                    before.iter().any(|line| line.contains("cfg!(feature = \"demo\")")),
                    "{path}: {line}"
                );
            }
            if line.contains("styleguide::routes()") || line.starts_with("mod styleguide") {
                found += 1;
                assert!(lines[place - 1].contains("#[cfg(feature = \"demo\")]"), "{path}: {line}");
            }
        }
    }
    assert_eq!(found, 3);
}

#[test]
fn what_is_installed_plays_no_vendor() {
    let tree = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO"));
        command.args([
            "tree",
            "--package=bursar",
            "--edges=normal",
            "--prefix=none",
            "--format={p}",
            "--offline",
        ]);
        let output = command.args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap();
        assert!(output.status.success(), "{}", told(&output));
        let names = String::from_utf8(output.stdout).unwrap();
        names
            .lines()
            .filter_map(|line| line.split(' ').next().map(str::to_owned))
            .collect::<BTreeSet<String>>()
    };
    let released = tree(&["--no-default-features"]);
    assert!(tree(&[]).contains("simulator") && !released.contains("simulator"), "{released:?}");
    // It verifies the provider's signatures, with public keys only (deny.toml).
    let with_rsa = tree(&["--no-default-features", "--invert=rsa", "--depth=1"]);
    assert_eq!(with_rsa.into_iter().collect::<Vec<_>>(), ["openidconnect", "rsa"]);
}

#[test]
fn the_program_says_whether_the_demonstration_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    let version = told(&bursar(folder.path()).arg("--version").output().unwrap());
    assert_eq!(version.contains("(with the demonstration)"), cfg!(feature = "demo"), "{version}");
    if cfg!(not(feature = "demo")) {
        for command in [&["demo", "--auto"][..], &["simulator", "--help"]] {
            let output = bursar(folder.path()).args(command).output().unwrap();
            assert_eq!(output.status.code(), Some(1), "{}", told(&output));
            assert!(told(&output).contains("cargo run --release -- demo"), "{}", told(&output));
        }
    }
}
