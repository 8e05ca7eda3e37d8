//! A hub on this machine: the paths, redirects, headers and ranges of the real one, and its
//! bad days.

use std::collections::{BTreeMap, VecDeque};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, mpsc};
use std::thread;

use sha2::Digest as _;

/// The model that the hub has.
pub(crate) const MODEL: &str = "org/mini";
/// Its newest commit.
pub(crate) const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// One thing that goes wrong, once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The connection is cut after some bytes of the content.
    Cut(usize),
    /// As many bytes come, then nothing more until the other side is gone.
    Stall(usize),
    /// This status, and no content.
    Status(u16),
    /// A content of the right length that is not the right one.
    Corrupt,
    /// Ranges are not understood: all of the content comes.
    NoRanges,
    /// More than there should be.
    TooLong,
    /// No header of the content's checksum or length.
    NoHeaders,
}

/// A request as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Request {
    pub(crate) method: String,
    pub(crate) path: String,
    /// Names in lower case.
    pub(crate) headers: BTreeMap<String, String>,
    /// Whether it came to the other host, which keeps large contents.
    pub(crate) elsewhere: bool,
}

/// What the hub has, and what it remembers.
#[derive(Debug, Default)]
struct State {
    files: BTreeMap<String, Vec<u8>>,
    commit: String,
    /// By the name of the file, or the path of an API.
    faults: BTreeMap<String, VecDeque<Fault>>,
    requests: Vec<Request>,
    /// Only those who show it get anything.
    token: Option<String>,
    gated: bool,
    elsewhere: String,
}

/// A hub that is there as long as the test runs.
pub(crate) struct Hub {
    pub(crate) endpoint: String,
    state: Arc<Mutex<State>>,
    stalled: Mutex<mpsc::Receiver<()>>,
}

impl Hub {
    /// With these files; those that end in `.safetensors` are large ones, which lie elsewhere.
    pub(crate) fn start(files: &[(&str, &[u8])]) -> Self {
        let files = files.iter();
        let files = files.map(|(name, content)| ((*name).to_owned(), content.to_vec()));
        let state = Arc::new(Mutex::new(State {
            files: files.collect(),
            commit: COMMIT.to_owned(),
            ..State::default()
        }));
        let (stalls, stalled) = mpsc::channel();
        let elsewhere = listen(&state, &stalls, true);
        state.lock().unwrap().elsewhere = elsewhere;
        let endpoint = listen(&state, &stalls, false);
        Self {
            endpoint,
            state,
            stalled: Mutex::new(stalled),
        }
    }

    /// Lets things go wrong with a file, or with `api`, one after the other.
    pub(crate) fn spoil(&self, what: &str, faults: &[Fault]) {
        let mut state = self.state.lock().unwrap();
        state.faults.insert(what.to_owned(), faults.to_vec().into());
    }

    /// Shows the model only to those who have this token.
    pub(crate) fn close(&self, token: &str) {
        self.state.lock().unwrap().token = Some(token.to_owned());
    }

    /// Asks for terms to be accepted before contents are given.
    pub(crate) fn gate(&self) {
        self.state.lock().unwrap().gated = true;
    }

    /// The next version of a file, at another commit.
    pub(crate) fn commit(&self, commit: &str, name: &str, content: &[u8]) {
        let mut state = self.state.lock().unwrap();
        state.commit = commit.to_owned();
        state.files.insert(name.to_owned(), content.to_vec());
    }

    /// What was asked for since the last question.
    pub(crate) fn requests(&self) -> Vec<Request> {
        std::mem::take(&mut self.state.lock().unwrap().requests)
    }

    /// Waits until a stall has begun.
    pub(crate) fn wait_for_stall(&self) {
        self.stalled.lock().unwrap().recv().unwrap();
    }
}

/// Listens on a port of its own until the process ends; the address.
fn listen(state: &Arc<Mutex<State>>, stalls: &mpsc::Sender<()>, elsewhere: bool) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let (state, stalls) = (Arc::clone(state), stalls.clone());
    thread::spawn(move || {
        for stream in listener.incoming() {
            let (state, stalls) = (Arc::clone(&state), stalls.clone());
            thread::spawn(move || serve(stream.unwrap(), &state, &stalls, elsewhere));
        }
    });
    address
}

/// Answers one request; the other side may be gone at any time.
fn serve(
    mut stream: TcpStream,
    state: &Mutex<State>,
    stalls: &mpsc::Sender<()>,
    elsewhere: bool,
) -> Option<()> {
    let request = read(&stream, elsewhere)?;
    let answer = {
        let mut state = state.lock().unwrap();
        state.requests.push(request.clone());
        state.answer(&request)
    };
    let mut head = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    stream.write_all(format!("{head}\r\n").as_bytes()).ok()?;
    if request.method == "HEAD" {
        return Some(());
    }
    match answer.fault {
        Some(Fault::Cut(bytes)) => {
            let part = answer.content.get(..bytes).unwrap_or(&answer.content);
            stream.write_all(part).ok()?;
            stream.flush().ok()?;
        }
        Some(Fault::Stall(bytes)) => {
            let part = answer.content.get(..bytes).unwrap_or(&answer.content);
            stream.write_all(part).ok()?;
            stalls.send(()).ok()?;
            // Ends when the other side closes the connection.
            let mut rest = [0; 1];
            let _gone = stream.read(&mut rest);
        }
        _ => stream.write_all(&answer.content).ok()?,
    }
    stream.shutdown(Shutdown::Both).ok()
}

fn read(stream: &TcpStream, elsewhere: bool) -> Option<Request> {
    let mut lines = BufReader::new(stream.try_clone().unwrap()).lines();
    let first = lines.next()?.ok()?;
    let mut words = first.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = BTreeMap::new();
    for line in lines {
        let line = line.ok()?;
        let Some((name, value)) = line.split_once(':') else {
            break;
        };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    Some(Request {
        method,
        path,
        headers,
        elsewhere,
    })
}

#[derive(Default)]
struct Answer {
    status: u16,
    headers: Vec<(&'static str, String)>,
    content: Vec<u8>,
    fault: Option<Fault>,
}

impl State {
    fn answer(&mut self, request: &Request) -> Answer {
        let error = |status: u16, code: &str, message: &str| Answer {
            status,
            headers: vec![
                ("X-Error-Code", code.to_owned()),
                ("X-Error-Message", message.to_owned()),
                ("Content-Length", "0".to_owned()),
            ],
            ..Answer::default()
        };
        if request.elsewhere {
            // As a signed address: whoever has it may read.
            let name = request.path.strip_prefix("/store/").unwrap();
            return self.content(&name.replace("?signature=s3cr3t", ""), request);
        }
        let shown = request.headers.get("authorization");
        match (&self.token, shown) {
            (Some(token), Some(shown)) if *shown != format!("Bearer {token}") => {
                return error(401, "", "Invalid credentials in Authorization header");
            }
            (Some(_), None) => return error(401, "RepoNotFound", "Repository not found"),
            _ => {}
        }
        let api = format!("/api/models/{MODEL}/revision/");
        if let Some(revision) = request.path.strip_prefix(&api) {
            if let Some(fault) = self.fault("api") {
                return plain(fault);
            }
            if !["main", "v1.0", "refs%2Fpr%2F1", &self.commit].contains(&revision) {
                return error(404, "RevisionNotFound", "Invalid rev id");
            }
            let siblings: Vec<String> = self
                .files
                .keys()
                .map(|name| format!("{{\"rfilename\": {name:?}}}"))
                .collect();
            return json(&format!(
                "{{\"id\": \"{MODEL}\", \"sha\": \"{}\", \"siblings\": [{}]}}",
                self.commit,
                siblings.join(", ")
            ));
        }
        if request.path == format!("/api/models/{MODEL}/refs") {
            return json(
                "{\"branches\": [{\"name\": \"main\"}], \"tags\": [{\"name\": \"v1.0\"}]}",
            );
        }
        if let Some(name) = request.path.strip_prefix("/cache/") {
            return self.content(name, request);
        }
        let resolve = format!("/{MODEL}/resolve/{}/", self.commit);
        match request.path.strip_prefix(&resolve) {
            Some(_) if self.gated => error(403, "GatedRepo", "Access is restricted"),
            Some(name) => self.resolve(name),
            None => error(404, "RepoNotFound", "Repository not found"),
        }
    }

    /// Small files lie at another path of the hub, large ones at another host.
    fn resolve(&mut self, name: &str) -> Answer {
        let Some(content) = self.files.get(name) else {
            return plain(Fault::Status(404));
        };
        let large = name.ends_with(".safetensors");
        let mut answer = Answer {
            status: if large { 302 } else { 307 },
            ..Answer::default()
        };
        let to = match large {
            true => format!("{}/store/{name}?signature=s3cr3t", self.elsewhere),
            false => format!("/cache/{name}"),
        };
        answer.headers.push(("Location", to));
        if self
            .faults
            .get(name)
            .is_some_and(|f| f.front() == Some(&Fault::NoHeaders))
        {
            return answer;
        }
        answer.headers.push(("X-Repo-Commit", self.commit.clone()));
        answer
            .headers
            .push(("X-Linked-Size", content.len().to_string()));
        answer
            .headers
            .push(("X-Linked-ETag", format!("\"{}\"", etag(name, content))));
        answer.headers.push(("Content-Length", "0".to_owned()));
        answer
    }

    fn content(&mut self, name: &str, request: &Request) -> Answer {
        let head = request.method == "HEAD";
        let fault = if head { None } else { self.fault(name) };
        let whole = self.files[name].clone();
        let mut answer = Answer {
            status: 200,
            content: whole.clone(),
            ..Answer::default()
        };
        let range = request.headers.get("range").and_then(|range| {
            let first = range.strip_prefix("bytes=")?.strip_suffix('-')?;
            first.parse::<usize>().ok()
        });
        match &fault {
            Some(Fault::Status(_)) => return plain(fault.unwrap()),
            Some(Fault::Corrupt) => answer.content[0] ^= 1,
            Some(Fault::TooLong) => answer.content.push(b'!'),
            _ => {}
        }
        if let (Some(first), false) = (range, fault == Some(Fault::NoRanges)) {
            if first >= whole.len() {
                return plain(Fault::Status(416));
            }
            answer.status = 206;
            answer.content.drain(..first);
            let last = whole.len() - 1;
            let range = format!("bytes {first}-{last}/{}", whole.len());
            answer.headers.push(("Content-Range", range));
        }
        let length = answer.content.len().to_string();
        answer.headers.push(("Content-Length", length));
        // Not the hub's own word.
        answer.headers.push(("ETag", "\"of-the-store\"".to_owned()));
        answer.fault = fault;
        answer
    }

    fn fault(&mut self, what: &str) -> Option<Fault> {
        self.faults.get_mut(what)?.pop_front()
    }
}

/// An answer without content.
fn plain(fault: Fault) -> Answer {
    let Fault::Status(status) = fault else {
        panic!("{fault:?} needs a content");
    };
    Answer {
        status,
        headers: vec![("Content-Length", "0".to_owned())],
        ..Answer::default()
    }
}

fn json(text: &str) -> Answer {
    Answer {
        status: 200,
        headers: vec![
            ("Content-Type", "application/json".to_owned()),
            ("Content-Length", text.len().to_string()),
        ],
        content: text.as_bytes().to_vec(),
        fault: None,
    }
}

/// SHA-256 of large files, git's name of small ones.
pub(crate) fn etag(name: &str, content: &[u8]) -> String {
    let hexadecimal = |bytes: &[u8]| bytes.iter().map(|b| format!("{b:02x}")).collect();
    if name.ends_with(".safetensors") {
        return hexadecimal(&sha2::Sha256::digest(content));
    }
    use sha1::Digest as _;
    let mut sha1 = sha1::Sha1::new();
    sha1.update(format!("blob {}\0", content.len()));
    sha1.update(content);
    hexadecimal(&sha1.finalize())
}
