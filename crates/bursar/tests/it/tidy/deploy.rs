//! `deploy/` is consistent with the rest: the Rust version of the image, and the names of settings. Not here: whether the
//! installations work, which `deploy/try-*` test.

use super::{Breach, Rule};
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[
    Rule {
        name: "the image is built with the project's Rust",
        why: "another version is another program than the one that was tested, or does not build it at all",
        broken: another_rust,
        bad: &[(IMAGE, "ARG RUST_VERSION=1.2.3\n"), (IMAGE, "FROM rust:latest\n")],
        good: &[("docs/Containerfile", "ARG RUST_VERSION=1.2.3\n")],
    },
    Rule {
        name: "deploy/ names settings that there are",
        why: "a setting with a wrong name is silently none: Bursar starts with the default",
        broken: unknown_setting,
        bad: &[
            ("deploy/bursar.env", "BURSAR_BASE_ADDRESS=https://bursar.example.com\n"),
            ("deploy/compose.yaml", "      # BURSAR_SMTP: smtps://mail.example.com\n"),
        ],
        good: &[
            ("deploy/bursar.env", "#BURSAR_SMTP_URL=smtps://mail.example.com\nBURSAR_OIDC_NAME=Acme\n"),
            ("docs/operating.md", "BURSAR_BASE_ADDRESS=https://bursar.example.com\n"),
        ],
    },
    Rule {
        name: "what is installed is built without the demonstration",
        why: "a server that pays needs no simulated vendors, and what is not there cannot be misused",
        broken: with_demonstration,
        bad: &[
            (IMAGE, "RUN cargo build --release --locked --package bursar\n"),
            ("deploy/README.md", "cargo build --release\n"),
            (PACKAGE, "[package.metadata.deb]\nsection = \"web\"\n"),
        ],
        good: &[
            (IMAGE, "RUN cargo build --release --locked --no-default-features\n"),
            ("deploy/try-proxy.py", "(`cargo build --release`)\n"),
            (PACKAGE, "[package.metadata.deb]\ndefault-features = false\n"),
        ],
    },
];

const PACKAGE: &str = "crates/bursar/Cargo.toml";

fn with_demonstration(file: &Source) -> Vec<Breach> {
    if file.path == PACKAGE {
        let package = file.text.split("[package.metadata.deb]").nth(1).unwrap_or_default();
        let without = package.lines().any(|line| line == "default-features = false");
        return if without { Vec::new() } else { vec![(1, "the package has the demonstration".to_owned())] };
    }
    // The proxy tests use the simulated vendors.
    if !file.path.starts_with("deploy/") || file.path == "deploy/try-proxy.py" {
        return Vec::new();
    }
    let lines = file.text.lines().enumerate().filter(|(_, line)| {
        line.contains("cargo build --release") && !line.contains("--no-default-features")
    });
    lines.map(|(at, line)| (at + 1, line.trim().to_owned())).collect()
}

const IMAGE: &str = "deploy/Containerfile";

fn another_rust(file: &Source) -> Vec<Breach> {
    if file.path != IMAGE {
        return Vec::new();
    }
    let toolchain = source::file("rust-toolchain.toml").map(|file| file.text).unwrap_or_default();
    let ours = toolchain.lines().find_map(|line| line.strip_prefix("channel = ")).unwrap_or_default();
    let ours = ours.trim_matches('"');
    let mut lines = file.text.lines().enumerate();
    match lines.find_map(|(at, line)| Some((at + 1, line.strip_prefix("ARG RUST_VERSION=")?))) {
        Some((_, version)) if version == ours => Vec::new(),
        Some((line, version)) => vec![(line, format!("Rust {version}, and rust-toolchain.toml has {ours}"))],
        None => vec![(1, "says no RUST_VERSION".to_owned())],
    }
}

fn unknown_setting(file: &Source) -> Vec<Breach> {
    if !file.path.starts_with("deploy/") {
        return Vec::new();
    }
    let readme = source::file("README.md").map(|file| file.text).unwrap_or_default();
    // The OIDC settings have a table of their own.
    let known = |name: &str| name.starts_with("BURSAR_OIDC_") || readme.contains(&format!("| `{name}`"));
    let mut found = Vec::new();
    for (at, line) in file.text.lines().enumerate() {
        let words = line.split(|letter: char| !letter.is_ascii_uppercase() && letter != '_');
        for name in words.filter(|word| word.starts_with("BURSAR_") && !known(word)) {
            found.push((at + 1, format!("README.md knows no {name}")));
        }
    }
    found
}
