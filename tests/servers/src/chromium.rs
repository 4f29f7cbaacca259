use std::io::{Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Result, bail};

use crate::find;
use crate::server::{not_yet, on_free_port};
use crate::supervisor::{Launch, Supervised};

/// Connections tried before a driver that was started is given up: 20 s.
const TRIES: u32 = 1_000;
const BETWEEN_TRIES: Duration = Duration::from_millis(20);
const PATIENCE: Duration = Duration::from_secs(5);

/// Whatever the driver and its browsers write lies in the directory that goes with them. They are a group of their own, which
/// the supervisor ends; where there is no `setsid`, as on macOS, browsers may outlive a driver that is killed.
const BODY: &str = r#"export TMPDIR="$0" HOME="$0"
command -v setsid >/dev/null || exec "$1" --port="$2"
echo $$ >group; exec setsid "$1" --port="$2""#;

/// What makes a browser one of a test: without a window or a first run, and with no talk to its maker. The sandbox wants
/// rights that root and containers lack; the pages are our own.
const FLAGS: &[&str] = &[
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
];

/// Headless Chromium behind its WebDriver server, `chromedriver`. The browsers of its sessions end with it, as it does with
/// this value and with this process.
#[derive(Debug)]
pub struct Chromium {
    driver: Supervised,
    binary: PathBuf,
    port: u16,
}

impl Chromium {
    /// Starts the driver, on a free port. A session begins a browser: with this [`binary`](Chromium::binary), and these
    /// [`flags`](Chromium::flags).
    ///
    /// # Errors
    /// When one of the two isn't installed, naming the command that installs it; when the driver doesn't answer within
    /// 20 s, with the end of its log.
    pub fn start() -> Result<Chromium> {
        let (program, binary) = (find::chromedriver()?, find::chromium()?);
        on_free_port(|port| Ok(Chromium { driver: launch(&program, port)?, binary: binary.clone(), port }))
    }

    /// Where the driver listens, as `http://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}:{}", Ipv4Addr::LOCALHOST, self.port)
    }

    /// The browser.
    pub fn binary(&self) -> &Path {
        &self.binary
    }

    /// The arguments of the browser; its profile is a new one.
    pub fn flags(&self) -> Vec<String> {
        let profile = format!("--user-data-dir={}", self.dir().join("profile").display());
        FLAGS.iter().map(|&flag| flag.to_owned()).chain([profile]).collect()
    }

    /// The pid of the driver.
    ///
    /// # Errors
    /// When it is no number of a process.
    pub fn pid(&self) -> Result<u32> {
        Ok(u32::try_from(self.driver.pid().as_raw_nonzero().get())?)
    }

    /// Where the driver and its browsers keep their files, until they end.
    pub fn dir(&self) -> &Path {
        self.driver.dir()
    }
}

fn launch(program: &Path, port: u16) -> Result<Supervised> {
    let arguments = vec![program.into(), port.to_string().into()];
    let driver =
        Supervised::spawn(&Launch { name: "chromium", user: None, signal: "TERM", body: BODY, arguments })?;
    for _ in 0..TRIES {
        match is_ready(port) {
            // Another server may have taken the port between finding it free and binding it.
            Ok(true) if driver.is_running() => return Ok(driver),
            Ok(_) if driver.is_running() => {}
            Err(error) if driver.is_running() && not_yet(&error) => {}
            Ok(_) => bail!("chromedriver doesn't serve on port {port}:\n{}", driver.last_words()),
            Err(error) => {
                bail!("chromedriver doesn't serve on port {port} ({error}):\n{}", driver.last_words())
            }
        }
        sleep(BETWEEN_TRIES);
    }
    bail!("chromedriver doesn't answer on port {port}:\n{}", driver.last_words())
}

/// Whether it takes sessions: the command `Status` of WebDriver.
fn is_ready(port: u16) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET /status HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\nconnection: close\r\n\r\n")?;
    // It keeps the connection open, whatever it is asked to do: so no further than the word that counts.
    let (mut answer, mut part) = (Vec::new(), [0; 1_024]);
    loop {
        let read = stream.read(&mut part)?;
        answer.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&answer);
        if read == 0 || text.contains("\"ready\":") && text.ends_with('}') {
            return Ok(text.contains("\"ready\":true"));
        }
    }
}
