//! The location of the vendors' own API documents. They are not part of the project, so tests that need them can be
//! skipped.

use std::path::{Path, PathBuf};

use serde_json::Value;

/// One document; `None`, with a message, if it is missing. Panics if `BURSAR_TEST_REQUIRE` names `specs`.
pub fn load(name: &str) -> Option<Value> {
    let folder = std::env::var_os("BURSAR_VENDOR_SPECS").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vendor-specs"),
        PathBuf::from,
    );
    let path = folder.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => Some(serde_json::from_slice(&bytes).unwrap()),
        Err(error) => {
            let required = std::env::var("BURSAR_TEST_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|word| word == "specs"), "{}: {error}", path.display());
            println!("skipped: {} is not here ({error})", path.display());
            None
        }
    }
}
