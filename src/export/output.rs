//! Where lines of JSON go: to the end of a file, or to a server, one a request.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Client, Url, redirect};
use tokio::runtime::Handle;

use crate::cli::CliError;

/// The path at which OpenLineage's servers take events.
const LINEAGE_PATH: &str = "/api/v1/lineage";
/// How long a server may take for an event.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Names the key that is shown to the server, if one is needed.
const KEY_VARIABLE: &str = "OPENLINEAGE_API_KEY";

/// Where lines go.
pub(super) enum Output {
    /// To the end of a file.
    File(File),
    /// To a server.
    Server(Box<Server>),
}

/// A server that takes events.
pub(super) struct Server {
    client: Client,
    url: Url,
    key: Option<String>,
    runtime: Handle,
}

impl Output {
    /// The end of a file, which is made if it is not there.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub(super) fn file(path: &Path) -> Result<Self, CliError> {
        let file = OpenOptions::new().create(true).append(true).open(path);
        file.map(Self::File).map_err(|source| CliError::Write {
            path: path.to_owned(),
            source,
        })
    }

    /// A server where `to` is a URL, else the end of a file. Called in a runtime, which requests
    /// are made in.
    ///
    /// # Errors
    /// A file that cannot be opened; a URL that is none, or not of HTTP.
    pub(super) fn file_or_url(to: &str) -> Result<Self, CliError> {
        if !to.contains("://") {
            return Self::file(Path::new(to));
        }
        let wrong = |reason: String| CliError::OpenLineage {
            to: to.to_owned(),
            reason,
        };
        let mut url = Url::parse(to).map_err(|error| wrong(error.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(wrong(
                "write http://, https://, or the path of a file".to_owned(),
            ));
        }
        let path = url.path().trim_end_matches('/').to_owned();
        if !path.ends_with(LINEAGE_PATH) {
            url.set_path(&format!("{path}{LINEAGE_PATH}"));
        }
        let client = Client::builder()
            .user_agent(concat!("sluice/", env!("CARGO_PKG_VERSION")))
            .redirect(redirect::Policy::none())
            .timeout(TIMEOUT)
            .build()
            .map_err(|error| wrong(error.to_string()))?;
        Ok(Self::Server(Box::new(Server {
            client,
            url,
            key: std::env::var(KEY_VARIABLE)
                .ok()
                .filter(|key| !key.is_empty()),
            runtime: Handle::current(),
        })))
    }

    /// Writes a line, and waits until it is there. Not to be called in the runtime.
    ///
    /// # Errors
    /// Why not, in words.
    pub(super) fn write(&mut self, line: &str) -> Result<(), String> {
        match self {
            Self::File(file) => {
                // In one piece: several processes may add to the file.
                let whole = file.write_all(format!("{line}\n").as_bytes());
                let whole = whole.and_then(|()| file.flush());
                whole.map_err(|error| error.to_string())
            }
            Self::Server(server) => server.runtime.block_on(server.post(line)),
        }
    }
}

impl Server {
    async fn post(&self, line: &str) -> Result<(), String> {
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .body(line.to_owned());
        let request = match &self.key {
            Some(key) => request.header(AUTHORIZATION, format!("Bearer {key}")),
            None => request,
        };
        let response = request.send().await.map_err(|error| root_cause(&error))?;
        match response.status() {
            status if status.is_success() => Ok(()),
            status => Err(format!("the server answered {status}")),
        }
    }
}

/// The innermost error: those around it repeat the URL.
fn root_cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}
