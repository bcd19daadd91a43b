//! The tools a test needs from its machine, and what happens if they are missing.

/// The PostgreSQL server from `BURSAR_TEST_POSTGRES`; `None` after reporting that the test is skipped.
pub fn postgres() -> Option<String> {
    let url = std::env::var("BURSAR_TEST_POSTGRES").ok().filter(|url| !url.is_empty());
    if url.is_none() {
        skip_or_fail("postgres", "BURSAR_TEST_POSTGRES names no server");
    }
    url
}

/// Reports that a test is skipped, or fails it if `BURSAR_TEST_REQUIRE` lists what is missing: a silently skipped test would
/// always look green.
pub fn skip_or_fail(what: &str, why: &str) {
    let required = std::env::var("BURSAR_TEST_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|name| name.trim() == what), "{what} is required: {why}");
    println!("skipped: {what}: {why}");
}
