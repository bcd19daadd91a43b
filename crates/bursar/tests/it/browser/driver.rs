//! A WebDriver client for headless Chromium over loopback, by mouse or keyboard only, with or without scripts. Not here:
//! the tests that use it.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::need;

const DRIVERS: [&str; 2] = ["/usr/bin/chromedriver", "/usr/local/bin/chromedriver"];
/// The key WebDriver uses for an element's ID.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";
/// WebDriver code points of non-printing keys.
const TAB: char = '\u{E004}';
const ENTER: char = '\u{E007}';
/// Longer than any browser operation takes.
const PATIENCE: Duration = Duration::from_secs(90);
/// More tab stops than any page has.
const MOST_STOPS: usize = 400;

/// A browser with a single window.
pub struct Driven {
    driver: Child,
    host: String,
    session: String,
}

impl Driven {
    /// A browser of this width in CSS pixels; `None` after reporting that none is installed.
    pub async fn open(browser: &str, width: u32) -> Option<Self> {
        let Some(program) = DRIVERS.into_iter().find(|path| Path::new(path).exists()) else {
            need::skip_or_fail("browser", "there is no chromedriver");
            return None;
        };
        let (driver, port) = started(program);
        let host = format!("127.0.0.1:{port}");
        let options = json!({
            "binary": browser,
            "args": ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync"],
            "mobileEmulation": {"deviceMetrics": {"width": width, "height": 900, "pixelRatio": 1, "mobile": false}},
        });
        // Wait for elements, because a click does not wait for the next page.
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "goog:chromeOptions": options, "timeouts": {"implicit": 5_000, "script": 60_000}}}});
        let mut driven = Self { driver, host, session: "/session".to_owned() };
        let begun = driven.call("POST", "", &wanted).await;
        driven.session = format!("/session/{}", begun["sessionId"].as_str().unwrap());
        Some(driven)
    }

    async fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let answer = tokio::time::timeout(PATIENCE, self.exchange(method, path, body)).await;
        answer.unwrap_or_else(|_| panic!("the browser does not answer: {method} {path}"))
    }

    async fn exchange(&self, method: &str, path: &str, body: &Value) -> Value {
        let body = if method == "POST" { body.to_string() } else { String::new() };
        let head = format!(
            "{method} {}{path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\n\
             content-length: {}\r\n\r\n",
            self.session,
            self.host,
            body.len()
        );
        let mut stream = TcpStream::connect(&self.host).await.unwrap();
        stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
        // The driver sends a length and keeps the connection open.
        let mut stream = tokio::io::BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        while stream.read_line(&mut line).await.unwrap() > 2 {
            if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            line.clear();
        }
        let mut bytes = vec![0; length];
        stream.read_exact(&mut bytes).await.unwrap();
        let text = String::from_utf8(bytes).unwrap();
        let mut answer: Value = serde_json::from_str(&text).unwrap();
        assert!(answer["value"]["error"].is_null(), "{method} {path}: {text}");
        answer["value"].take()
    }

    /// Navigates to the given URL.
    pub async fn go(&self, address: &str) {
        self.call("POST", "/url", &json!({ "url": address })).await;
    }

    /// The URL of the current page.
    pub async fn at(&self) -> String {
        self.call("GET", "/url", &Value::Null).await.as_str().unwrap().to_owned()
    }

    /// Clicks the button or link with this text.
    pub async fn press(&self, words: &str) {
        self.click(&format!("//*[self::a or self::button or self::summary][normalize-space()='{words}']"))
            .await;
    }

    /// Like `press`, for the first button whose text starts like this.
    pub async fn press_what_begins(&self, words: &str) {
        self.click(&format!("//button[not(@disabled)][starts-with(normalize-space(), '{words}')]")).await;
    }

    /// From here on the browser emulates a passkey device that verifies its user.
    pub async fn with_passkeys(&self) {
        let device = json!({"protocol": "ctap2", "transport": "internal", "hasResidentKey": true,
            "hasUserVerification": true, "isUserConsenting": true, "isUserVerified": true});
        self.call("POST", "/webauthn/authenticator", &device).await;
    }

    /// Types into the field with this ID, replacing its content.
    pub async fn write(&self, field: &str, text: &str) {
        let found = json!({"using": "css selector", "value": format!("#{field}")});
        let found = self.call("POST", "/element", &found).await;
        let id = found[ELEMENT].as_str().unwrap().to_owned();
        self.call("POST", &format!("/element/{id}/clear"), &json!({})).await;
        self.call("POST", &format!("/element/{id}/value"), &json!({ "text": text })).await;
    }

    /// Selects the option with this value in a field.
    pub async fn choose(&self, field: &str, value: &str) {
        self.click(&format!("//select[@id='{field}']/option[@value='{value}']")).await;
    }

    /// Ticks the checkbox, or selects the radio button, with this label.
    pub async fn tick(&self, words: &str) {
        let box_of = format!(
            "//input[@aria-label='{words}'] | //label[contains(normalize-space(), '{words}')]/descendant::input"
        );
        self.click(&box_of).await;
    }

    async fn click(&self, path: &str) {
        let found = self.call("POST", "/element", &json!({"using": "xpath", "value": path})).await;
        let id = found[ELEMENT].as_str().unwrap().to_owned();
        // Scroll as a person would if something with a fixed position covers the target.
        let scroll = json!({"script": "arguments[0].scrollIntoView({block: 'center'})", "args": [found]});
        self.call("POST", "/execute/sync", &scroll).await;
        self.call("POST", &format!("/element/{id}/click"), &json!({})).await;
    }

    /// Types keys, one after the other.
    pub async fn keys(&self, keys: impl IntoIterator<Item = char>) {
        let each = keys.into_iter().flat_map(|key| {
            [
                json!({"type": "keyDown", "value": key.to_string()}),
                json!({"type": "keyUp", "value": key.to_string()}),
            ]
        });
        let actions =
            json!({"actions": [{"type": "key", "id": "keys", "actions": each.collect::<Vec<_>>()}]});
        self.call("POST", "/actions", &actions).await;
    }

    /// Tabs to the element with this text, and checks that its focus is visible.
    async fn reach(&self, words: &str, is: impl Fn(&str) -> bool) {
        const HERE: &str = "const at = document.activeElement; const words = at.getAttribute('aria-label') \
            || at.labels?.[0]?.innerText || at.innerText || ''; \
            return [at.matches(':focus-visible'), words.trim().replace(/\\s+/g, ' ')]";
        for _ in 0..MOST_STOPS {
            self.keys([TAB]).await;
            let here = self.ask(HERE).await;
            if is(here[1].as_str().unwrap()) {
                assert_eq!(here[0], true, "the focus on {words:?} cannot be seen");
                return;
            }
        }
        panic!("no key leads to {words:?} on {}:\n{}", self.at().await, self.words().await);
    }

    /// Like [`Driven::press`], with the keyboard.
    pub async fn press_by_key(&self, words: &str) {
        self.reach(words, |here| here == words).await;
        self.keys([ENTER]).await;
    }

    /// Like [`Driven::tick`], with the keyboard.
    pub async fn tick_by_key(&self, words: &str) {
        self.reach(words, |here| here.contains(words)).await;
        self.keys([' ']).await;
    }

    /// From here on, blocks our script. Pages have no other script, and with scripting disabled entirely the browser could
    /// not be queried.
    pub async fn without_scripts(&self) {
        self.devtools("Network.enable", json!({})).await;
        self.devtools("Network.setBlockedURLs", json!({"urls": ["*/assets/app.js*"]})).await;
    }

    /// Displays the page at this width in CSS pixels, light or dark, with reduced motion.
    pub async fn look(&self, width: u32, dark: bool) {
        let size = json!({"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", size).await;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({"features": [
            {"name": "prefers-color-scheme", "value": scheme}, {"name": "prefers-reduced-motion", "value": "reduce"}]});
        self.devtools("Emulation.setEmulatedMedia", features).await;
    }

    /// Sends a DevTools command that WebDriver does not have.
    pub async fn devtools(&self, command: &str, told: Value) -> Value {
        self.call("POST", "/goog/cdp/execute", &json!({"cmd": command, "params": told})).await
    }

    /// The result of an asynchronous script, which calls `done`.
    pub async fn await_answer(&self, script: &str) -> Value {
        let script = format!("const done = arguments[0]; {script}");
        self.call("POST", "/execute/async", &json!({"script": script, "args": []})).await
    }

    /// The result of a synchronous script.
    pub async fn ask(&self, script: &str) -> Value {
        self.call("POST", "/execute/sync", &json!({"script": script, "args": []})).await
    }

    /// The text of the page, as displayed.
    pub async fn words(&self) -> String {
        let words = self.ask("return document.body.innerText").await;
        words.as_str().unwrap().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    /// Waits until the browser is at this URL.
    pub async fn comes_to(&self, address: &str) {
        for _ in 0..50 {
            if self.at().await == address {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert_eq!(self.at().await, address, "{}", self.words().await);
    }

    /// Waits until the page contains this text: a click does not wait for the next page.
    pub async fn says(&self, text: &str) {
        let mut words = self.words().await;
        for _ in 0..50 {
            if words.contains(text) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
            words = self.words().await;
        }
        assert!(words.contains(text), "{} does not say {text:?}:\n{words}", self.at().await);
    }

    /// Takes a screenshot of the whole page if `BURSAR_TEST_PICTURES` names a folder.
    pub async fn picture(&self, name: &str) {
        use base64::Engine as _;
        let Ok(folder) = std::env::var("BURSAR_TEST_PICTURES") else { return };
        let size = self.devtools("Page.getLayoutMetrics", json!({})).await;
        let width = self.ask("return window.innerWidth").await;
        let clip = json!({"x": 0, "y": 0, "scale": 1, "width": width,
            "height": size["cssContentSize"]["height"]});
        let body = json!({"captureBeyondViewport": true, "clip": clip});
        let taken = self.devtools("Page.captureScreenshot", body).await;
        let bytes =
            base64::engine::general_purpose::STANDARD.decode(taken["data"].as_str().unwrap()).unwrap();
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(Path::new(&folder).join(format!("{name}.png")), bytes).unwrap();
    }

    /// Closes the browser and its driver.
    pub async fn close(self) {
        self.call("DELETE", "", &Value::Null).await;
    }
}

/// A driver and its port. Drivers started at the same time may choose the same port; the second then exits at once and is
/// restarted.
fn started(program: &str) -> (Child, String) {
    for _ in 0..10 {
        let mut driver = Command::new(program)
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = lines.map(Result::unwrap).find_map(|line| {
            let port = line.split("successfully on port ").nth(1)?;
            Some(port.trim_end_matches('.').to_owned())
        });
        match port {
            Some(port) => return (driver, port),
            None => driver.wait().unwrap(),
        };
    }
    panic!("{program} does not start");
}

impl Drop for Driven {
    /// A failed test must not leave a browser running: stopping the driver ends its browsers.
    fn drop(&mut self) {
        let stopped = Command::new("kill").arg(self.driver.id().to_string()).status();
        assert!(
            stopped.is_ok() && self.driver.wait().is_ok() || std::thread::panicking(),
            "the driver goes on"
        );
    }
}
