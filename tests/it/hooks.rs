//! `on_failure:` and `on_success:`: told by the binary to a real server and a real command.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use serde_json::Value;

use crate::sandbox::{Ended, Sandbox};

/// What a server was sent.
#[derive(Debug)]
struct Sent {
    /// By name in lower case.
    headers: BTreeMap<String, String>,
    body: String,
}

/// A server that gives these answers, one a request, and keeps what it is sent.
struct Server {
    address: String,
    sent: Receiver<Sent>,
}

impl Server {
    fn answering(answers: &'static [&'static str]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/hook/hush-hush", listener.local_addr().unwrap());
        let (sender, sent) = channel();
        std::thread::spawn(move || {
            for answer in answers {
                let (mut stream, _) = listener.accept().unwrap();
                let mut reader = BufReader::new(stream.try_clone().unwrap());
                let mut line = String::new();
                reader.read_line(&mut line).unwrap();
                assert!(line.starts_with("POST /hook/hush-hush "), "{line}");
                let mut headers = BTreeMap::new();
                loop {
                    line.clear();
                    reader.read_line(&mut line).unwrap();
                    let Some((name, value)) = line.trim_end().split_once(": ") else {
                        break;
                    };
                    headers.insert(name.to_ascii_lowercase(), value.to_owned());
                }
                let length = headers["content-length"].parse().unwrap();
                let mut body = vec![0; length];
                reader.read_exact(&mut body).unwrap();
                let body = String::from_utf8(body).unwrap();
                if sender.send(Sent { headers, body }).is_err() {
                    break;
                }
                if *answer == "hang" {
                    // Until the other side gives up.
                    let _gone = reader.read(&mut [0; 1]);
                    continue;
                }
                let answer =
                    format!("HTTP/1.1 {answer}\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
                stream.write_all(answer.as_bytes()).unwrap();
            }
        });
        Self { address, sent }
    }

    fn next(&self) -> Sent {
        self.sent.recv_timeout(Duration::from_secs(60)).unwrap()
    }

    fn nothing_more(&self) -> bool {
        self.sent.try_recv().is_err()
    }
}

const SECRET: &str = "a secret of the test";

/// A project with one table, and this after a run.
fn project(hooks: &str) -> Sandbox {
    let sandbox = Sandbox::new();
    let tables = "pipeline: told\ntables:\n  bronze.a:\n    ingest: {files: a.csv}\n  \
                  silver.a:\n    sql: SELECT 10 / n AS n FROM bronze.a\n";
    sandbox.write("pipeline.yaml", format!("{tables}{hooks}"));
    sandbox.write("a.csv", "n\n1\n");
    sandbox
}

/// Runs it with the secrets that its hooks name.
fn run(sandbox: &Sandbox, url: &str) -> Ended {
    let mut command = sandbox.sluice(&["run", "--json"]);
    command
        .env("SLUICE_SECRET_SIGN", SECRET)
        .env("SLUICE_SECRET_URL", url)
        .env("SLUICE_LOG", "debug")
        .env("NO_PROXY", "127.0.0.1");
    Ended::of(command.output().unwrap(), sandbox.path())
}

const WEBHOOKS: &str = "\
on_success:
  webhook: {url: \"${secret:URL}\", secret: \"${secret:SIGN}\"}
on_failure:
  webhook: {url: \"${secret:URL}\", secret: \"${secret:SIGN}\", timeout: 1s, retries: 2}
";

/// The signature, computed by another implementation.
fn signed(secret: &str, message: &str) -> Option<String> {
    let script = "import hmac,sys;print(hmac.new(sys.argv[1].encode(),sys.argv[2].encode(),'sha256').hexdigest())";
    let output = std::process::Command::new("python3")
        .args(["-c", script, secret, message])
        .output()
        .ok()?;
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn a_webhook_is_sent_what_became_of_a_run() {
    let server = Server::answering(&["204 No Content"]);
    let sandbox = project(WEBHOOKS);
    let ended = run(&sandbox, &server.address);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let sent = server.next();
    assert_eq!(sent.headers["content-type"], "application/json");
    assert_eq!(sent.headers["sluice-event"], "run_finished");
    let body: Value = serde_json::from_str(&sent.body).unwrap();
    assert_eq!(body["version"], 1);
    assert_eq!(body["event"], "run_finished");
    assert_eq!(body["pipeline"], "told");
    assert_eq!(body["status"], "finished");
    assert_eq!((&body["made"], &body["failed"]), (&2.into(), &0.into()));
    assert_eq!(body["run_id"], sent.headers["sluice-delivery"].as_str());
    assert_eq!(body["run_id"], ended.events()[0]["run_id"]);
    assert_eq!(body["error"], Value::Null);
    // Whoever has the secret can tell that it is from here, and of now.
    let signature = &sent.headers["sluice-signature"];
    let (moment, code) = signature.split_once(",v1=").unwrap();
    let moment = moment.strip_prefix("t=").unwrap();
    if let Some(expected) = signed(SECRET, &format!("{moment}.{}", sent.body)) {
        assert_eq!(code, expected);
    }
    let said = ended.all();
    assert!(
        !said.contains(SECRET) && !said.contains("hush-hush"),
        "{said}"
    );
}

#[test]
fn a_server_that_fails_or_hangs_is_asked_again() {
    let server = Server::answering(&["503 Service Unavailable", "hang", "200 OK"]);
    let sandbox = project(WEBHOOKS);
    sandbox.write("a.csv", "n\n0\n");
    let ended = run(&sandbox, &server.address);
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let attempts = [server.next(), server.next(), server.next()];
    for sent in &attempts {
        assert_eq!(sent.headers["sluice-event"], "run_failed");
        assert_eq!(sent.body, attempts[0].body);
    }
    let body: Value = serde_json::from_str(&attempts[0].body).unwrap();
    assert_eq!(body["status"], "failed");
    assert_eq!(body["errors"][0]["asset"], "silver.a");
    let error = body["errors"][0]["error"].as_str().unwrap();
    assert!(error.to_lowercase().contains("divide by zero"), "{error}");
    assert!(
        !ended.all().contains("webhook"),
        "it was told: {}",
        ended.all()
    );
}

/// What cannot be told is a warning, and the run's result stays.
#[test]
fn a_webhook_that_is_refused_is_a_warning() {
    for (answer, words) in [
        (
            "404 Not Found",
            "`webhook` of `on_success`: the server answers 404 Not Found (1 attempt)",
        ),
        ("302 Found", "follows no redirect"),
    ] {
        let server = Server::answering(match answer {
            "302 Found" => &["302 Found\r\nLocation: file:///etc/passwd"],
            _ => &["404 Not Found"],
        });
        let sandbox = project(WEBHOOKS);
        let ended = run(&sandbox, &server.address);
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        server.next();
        assert!(server.nothing_more());
        let all = ended.all();
        assert!(all.contains(words), "{all}");
        assert!(!all.contains("hush-hush") && !all.contains(SECRET), "{all}");
    }
}

#[test]
fn nobody_there_is_a_warning() {
    // A port that was free a moment ago.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}/hush-hush", listener.local_addr().unwrap());
    drop(listener);
    let sandbox = project("on_success:\n  webhook: {url: \"${secret:URL}\", retries: 1}\n");
    let ended = run(&sandbox, &address);
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    let all = ended.all();
    assert!(
        all.contains("no answer: ") && all.contains("(2 attempts)"),
        "{all}"
    );
    assert!(!all.contains("hush-hush"), "{all}");
}

#[cfg(unix)]
#[test]
fn a_command_is_told_by_its_environment() {
    use std::os::unix::fs::PermissionsExt as _;
    let sandbox = project("on_failure:\n  command: [./tell, \"$HOME; echo\"]\n");
    sandbox.write("tell", "#!/bin/sh\necho to standard output\necho \"$1|$SLUICE_STATUS|$SLUICE_PIPELINE|$SLUICE_RUN_ID|$SLUICE_FAILED|$SLUICE_ERROR\" > told\n");
    let tell = sandbox.path().join("tell");
    std::fs::set_permissions(&tell, std::fs::Permissions::from_mode(0o755)).unwrap();
    let ended = run(&sandbox, "");
    assert_eq!(ended.code, Some(0), "{}", ended.all());
    assert!(!sandbox.path().join("told").exists(), "nothing failed");
    sandbox.write("a.csv", "n\n0\n");
    let ended = run(&sandbox, "");
    assert_eq!(ended.code, Some(1), "{}", ended.all());
    let told = std::fs::read_to_string(sandbox.path().join("told")).unwrap();
    let run_id = ended.events()[0]["run_id"].as_str().unwrap().to_owned();
    let expected = format!("$HOME; echo|failed|told|{run_id}|1|silver.a: ");
    assert!(told.starts_with(&expected), "{told}");
    // Standard output is the run's own.
    assert!(
        ended.stderr.contains("to standard output"),
        "{}",
        ended.all()
    );
}

#[cfg(unix)]
#[test]
fn a_command_that_goes_wrong_is_a_warning() {
    for (command, words) in [
        ("[sleep, 600]", "`sleep` was killed after 1 s"),
        ("[\"false\"]", "`false` ended with exit status: 1"),
        ("[no-such-program]", "`no-such-program` cannot be run: "),
    ] {
        let sandbox = project(&format!(
            "on_success:\n  command: {command}\n  timeout: 1s\n"
        ));
        let ended = run(&sandbox, "");
        assert_eq!(ended.code, Some(0), "{}", ended.all());
        assert!(ended.all().contains(words), "{}", ended.all());
    }
}
