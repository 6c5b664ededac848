//! A client with its server: over stdio to a process, or in this process over a pipe.

use std::fs::{File, OpenOptions};
use std::path::Path;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bailiwick::call::Calls;
use bailiwick::identity::ApiKey;
use rmcp::model::{
    CallToolRequest, CallToolRequestParams, CancelledNotification, CancelledNotificationParam, ClientCapabilities,
    ClientConfig, ClientRequest, Implementation, ServerResult,
};
use rmcp::service::{PeerRequestOptions, RunningService, ServiceError};
use rmcp::{RoleClient, ServiceExt};
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, ChildStdin, Command};
use tokio::sync::Mutex;

use crate::Result;
use crate::journal::{Entry, Reply};
use crate::over_http::HttpClient;
use crate::plan::{Kind, Plan};
use crate::serving::ServerArguments;

/// A server that says nothing for so long has forgotten the call.
const SILENCE: Duration = Duration::from_secs(60);
/// So long that the reaper takes a server's calls for dead: it must not be able to end them when it goes on.
pub const FREEZE: Duration = Duration::from_secs(52);
/// How long a server may take to end; it may just be frozen.
const LONGEST_END: Duration = Duration::from_secs(40 + FREEZE.as_secs());

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    Stdio,
    Process,
    Http,
}

pub struct Session {
    pub number: u64,
    client: Client,
    server: Mutex<Option<Server>>,
    pub was_killed: AtomicBool,
    pub was_ended: AtomicBool,
}

enum Client {
    /// Over a pipe.
    Pipe(Box<RunningService<RoleClient, ClientConfig>>),
    Http(HttpClient),
}

/// How a server came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    Killed,
    /// Its client left, perhaps with calls under way.
    Ended,
    Own,
}

enum Server {
    /// With what ends it when it is dropped, over HTTP.
    Child(Box<Child>, Option<ChildStdin>),
    Here(Calls),
}

impl Session {
    pub async fn open(
        number: u64,
        transport: Transport,
        arguments: &ServerArguments,
        key: &ApiKey,
        logs: &Path,
    ) -> Result<Self> {
        // Its number reaches the trail as the user agent.
        let me = ClientConfig::new(ClientCapabilities::default(), Implementation::new("torture", number.to_string()));
        let (client, server) = match transport {
            Transport::Stdio => {
                let mut child = child(arguments, logs)?;
                let pipes = child.stdout.take().zip(child.stdin.take()).ok_or("a child without pipes")?;
                (Client::Pipe(Box::new(me.serve(pipes).await?)), Server::Child(Box::new(child), None))
            }
            Transport::Http => {
                let mut child = child(arguments, logs)?;
                let stdout = child.stdout.take().ok_or("a child without pipes")?;
                let url = BufReader::new(stdout).lines().next_line().await?.ok_or("a server without an address")?;
                let stdin = child.stdin.take();
                (
                    Client::Http(HttpClient::new(url, key.expose().to_owned(), number)?),
                    Server::Child(Box::new(child), stdin),
                )
            }
            Transport::Process => {
                let (server, calls) = arguments.open()?;
                let (ours, theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(async move {
                    if let Ok(running) = server.serve(theirs).await {
                        let _ = running.waiting().await;
                    }
                });
                (Client::Pipe(Box::new(me.serve(ours).await?)), Server::Here(calls))
            }
        };
        Ok(Self {
            number,
            client,
            server: Mutex::new(Some(server)),
            was_killed: AtomicBool::default(),
            was_ended: AtomicBool::default(),
        })
    }

    /// Makes a call as it is planned, and tells what came of it.
    pub async fn call(&self, number: u64, plan: &Plan) -> Entry {
        let begun = Instant::now();
        let reply = match &self.client {
            Client::Pipe(client) => reply(client, number, plan).await,
            Client::Http(client) => client.call(number, plan, SILENCE).await,
        };
        Entry { number, kind: plan.kind, session: self.number, reply, took: begun.elapsed() }
    }

    pub fn is_closed(&self) -> bool {
        match &self.client {
            Client::Pipe(client) => client.is_closed() || client.peer().is_transport_closed(),
            Client::Http(client) => client.is_gone.load(Ordering::Relaxed) || self.fate() != Fate::Own,
        }
    }

    /// What became of it, by us.
    pub fn fate(&self) -> Fate {
        match (self.was_killed.load(Ordering::Relaxed), self.was_ended.load(Ordering::Relaxed)) {
            (true, _) => Fate::Killed,
            (false, true) => Fate::Ended,
            (false, false) => Fate::Own,
        }
    }

    /// kill -9, if it is a process.
    pub async fn kill(&self) {
        if let Some(Server::Child(child, _)) = &mut *self.server.lock().await {
            self.was_killed.store(true, Ordering::Relaxed);
            let _ = child.kill().await;
        }
    }

    /// Stops it where it stands, if it is a process, and lets it go on.
    pub async fn freeze(&self, time: Duration) {
        let pid = match &*self.server.lock().await {
            Some(Server::Child(child, _)) => child.id().and_then(|pid| Pid::from_raw(pid.cast_signed())),
            _ => None,
        };
        if let Some(pid) = pid {
            let _ = kill_process(pid, Signal::STOP);
            tokio::time::sleep(time).await;
            let _ = kill_process(pid, Signal::CONT);
        }
    }

    /// Ends it as a client does; whether it ended by itself in time, and well.
    pub async fn end(&self) -> bool {
        self.was_ended.store(true, Ordering::Relaxed);
        match self.server.lock().await.take() {
            Some(Server::Child(mut child, stdin)) => {
                drop(stdin);
                if let Client::Pipe(client) = &self.client {
                    client.cancellation_token().cancel();
                }
                let ended = tokio::time::timeout(LONGEST_END, child.wait()).await;
                matches!(ended, Ok(Ok(status)) if status.success())
            }
            Some(Server::Here(calls)) => {
                calls.drain(Duration::from_secs(15)).await;
                true
            }
            None => true,
        }
    }
}

async fn reply(client: &RunningService<RoleClient, ClientConfig>, number: u64, plan: &Plan) -> Reply {
    let parameters = CallToolRequestParams::new(plan.kind.tool()).with_arguments(plan.arguments(number));
    let request = ClientRequest::CallToolRequest(CallToolRequest::new(parameters));
    let options = PeerRequestOptions::with_timeout(SILENCE);
    let Ok(handle) = client.peer().send_cancellable_request(request, options).await else {
        return Reply::Lost;
    };
    let id = handle.id.clone();
    let mut response = std::pin::pin!(handle.await_response());
    let cancelled = async {
        match plan.cancel_after {
            Some(time) => tokio::time::sleep(time).await,
            None => std::future::pending().await,
        }
    };
    let result = tokio::select! {
        result = &mut response => result,
        () = cancelled => {
            let parameters = CancelledNotificationParam::new(Some(id), Some("as planned".to_owned()));
            let _ = client.peer().send_notification(CancelledNotification::new(parameters).into()).await;
            response.await
        }
    };
    match result {
        Ok(ServerResult::CallToolResult(result)) if result.is_error == Some(true) => {
            let text = result.content.first().and_then(|block| block.as_text()).map(|text| text.text.as_str());
            let code = text.unwrap_or_default().split(':').next().unwrap_or_default();
            Reply::Failed(code.to_owned())
        }
        Ok(ServerResult::CallToolResult(result)) => {
            let content = result.structured_content.unwrap_or_default();
            let id = content["document_id"].as_str().and_then(|id| id.parse().ok());
            Reply::Ok(id.filter(|_| plan.kind == Kind::Insert))
        }
        Ok(other) => Reply::Protocol(format!("{other:?}")),
        Err(ServiceError::Cancelled { .. }) => Reply::Cancelled,
        Err(ServiceError::Timeout { .. }) => Reply::Silence,
        Err(ServiceError::McpError(error)) => Reply::Protocol(error.to_string()),
        Err(_) => Reply::Lost,
    }
}

fn child(arguments: &ServerArguments, logs: &Path) -> Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.arg("serve").args(arguments.to_command_line()).stdin(Stdio::piped()).stdout(Stdio::piped());
    Ok(command.stderr(log(logs)?).kill_on_drop(true).spawn()?)
}

fn log(folder: &Path) -> std::io::Result<File> {
    OpenOptions::new().create(true).append(true).open(folder.join("servers.log"))
}
