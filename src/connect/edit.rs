use std::path::Path;

use jsonc_parser::ParseOptions;
use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use jsonc_parser::errors::ParseError;
use serde_json::Value;

use super::entry::input_id;
use super::{Client, ConnectError, Server};

/// A mark that some editors on Windows put before a file's text.
const BOM: char = '\u{feff}';

/// What became of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// It was not there before.
    Added,
    /// Something else was there under its name.
    Replaced,
    /// It was there already, as it should be.
    Unchanged,
    /// It is gone.
    Removed,
    /// It was not there to be removed.
    Absent,
}

impl Change {
    /// Whether the file has to be written.
    #[must_use]
    pub fn is_one(self) -> bool {
        !matches!(self, Self::Unchanged | Self::Absent)
    }

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Replaced => "replaced",
            Self::Unchanged => "unchanged",
            Self::Removed => "removed",
            Self::Absent => "absent",
        }
    }
}

/// Why a text cannot be edited.
#[derive(Debug)]
pub(super) enum Fault {
    Syntax { line: usize, column: usize, what: String },
    Shape(String),
}

impl Fault {
    pub(super) fn at(self, path: &Path) -> ConnectError {
        let path = path.to_path_buf();
        match self {
            Self::Syntax { line, column, what } => ConnectError::Syntax { path, line, column, what },
            Self::Shape(what) => ConnectError::Shape { path, what },
        }
    }
}

impl From<ParseError> for Fault {
    fn from(error: ParseError) -> Self {
        let (line, column) = (error.line_display(), error.column_display());
        Self::Syntax { line, column, what: error.kind().to_string() }
    }
}

/// The text with the server in it, everything else as it was: other entries, comments, indentation.
pub(super) fn with_entry(text: &str, client: Client, name: &str, server: &Server) -> Result<(String, Change), Fault> {
    let (entry, input) = (server.entry(client, name), server.input(client, name));
    edit(text, client, name, |root| {
        let section = match member(root, client.section())? {
            Some(section) => object(&section, client.section())?,
            None => {
                let made = root.append(client.section(), CstInputValue::Object(Vec::new()));
                object(&made, client.section())?
            }
        };
        let mut change = match member(&section, name)? {
            Some(found) => settle(&found, &entry),
            None => {
                section.append(name, input_value(&entry));
                Change::Added
            }
        };
        if let Some(input) = &input
            && ask_for(root, input)?
            && change == Change::Unchanged
        {
            change = Change::Replaced;
        }
        Ok(change)
    })
}

/// The text without the server, everything else as it was.
pub(super) fn without_entry(text: &str, client: Client, name: &str) -> Result<(String, Change), Fault> {
    edit(text, client, name, |root| {
        let Some(section) = member(root, client.section())? else { return Ok(Change::Absent) };
        let Some(found) = member(&object(&section, client.section())?, name)? else { return Ok(Change::Absent) };
        found.remove();
        let id = input_id(name);
        if client == Client::Vscode && !root.to_string().contains(&format!("${{input:{id}}}")) {
            let inputs = root.array_value("inputs").map(|inputs| inputs.elements()).unwrap_or_default();
            let asked = inputs.into_iter().find(|input| input.to_serde_value().is_some_and(|input| input["id"] == *id));
            if let Some(asked) = asked {
                asked.remove();
            }
        }
        Ok(Change::Removed)
    })
}

/// Reads the text, lets it be changed, and reads the result back: whatever is not this server's must be there as before.
fn edit(
    text: &str,
    client: Client,
    name: &str,
    change: impl Fn(&CstObject) -> Result<Change, Fault>,
) -> Result<(String, Change), Fault> {
    let (mark, text) = text.strip_prefix(BOM).map_or(("", text), |rest| ("\u{feff}", rest));
    let root = parse(if text.trim().is_empty() { "{}\n" } else { text }, client)?;
    let before = others(&root, client, name);
    let Some(object) = root.object_value_or_create() else {
        return Err(Fault::Shape("the file's value is not an object ({ … })".to_owned()));
    };
    let change = change(&object)?;
    let written = root.to_string();
    let again = parse(&written, client)?;
    if others(&again, client, name) != before {
        return Err(Fault::Shape("it could not be changed without harm to other entries".to_owned()));
    }
    Ok((format!("{mark}{written}"), change))
}

fn parse(text: &str, client: Client) -> Result<CstRootNode, Fault> {
    let root = CstRootNode::parse(text, &options(client))?;
    // With comments kept as tokens the parser lets them pass, whatever its options say.
    if !client.reads_comments()
        && let Err(error) = serde_json::from_str::<serde::de::IgnoredAny>(text)
    {
        let what = format!("{} reads plain JSON, without comments", client.title());
        return Err(Fault::Syntax { line: error.line(), column: error.column(), what });
    }
    Ok(root)
}

/// What the client reads: strict JSON, or JSON with comments and trailing commas.
fn options(client: Client) -> ParseOptions {
    ParseOptions {
        allow_comments: client.reads_comments(),
        allow_trailing_commas: client.reads_comments(),
        allow_loose_object_property_names: false,
        allow_missing_commas: false,
        allow_single_quoted_strings: false,
        allow_hexadecimal_numbers: false,
        allow_unary_plus_numbers: false,
        allow_bare_decimal_point_numbers: false,
        allow_non_finite_numbers: false,
        allow_extended_string_escapes: false,
    }
}

/// All that is not this server's, as values.
fn others(root: &CstRootNode, client: Client, name: &str) -> Value {
    let mut value = root.to_serde_value().unwrap_or_else(|| Value::Object(serde_json::Map::new()));
    if let Some(section) = value.get_mut(client.section()).and_then(Value::as_object_mut) {
        section.remove(name);
    }
    if let Some(inputs) = value.get_mut("inputs").and_then(Value::as_array_mut) {
        inputs.retain(|input| input["id"] != *input_id(name));
    }
    // Absent and empty are the same to a client.
    if let Some(members) = value.as_object_mut() {
        for name in [client.section(), "inputs"] {
            let is_empty = |value: &Value| {
                value.as_object().is_some_and(|object| object.is_empty()) || value == &Value::Array(Vec::new())
            };
            if members.get(name).is_some_and(is_empty) {
                members.remove(name);
            }
        }
    }
    value
}

/// The one member of that name. Of two readers take the last, and whoever edits the first changes nothing.
fn member(object: &CstObject, name: &str) -> Result<Option<CstObjectProp>, Fault> {
    let mut found = object.properties().into_iter().filter(|member| member.decoded_name().as_deref() == Some(name));
    match (found.next(), found.next()) {
        (first, None) => Ok(first),
        _ => Err(Fault::Shape(format!("{name:?} is there twice; leave one of them"))),
    }
}

fn object(member: &CstObjectProp, name: &str) -> Result<CstObject, Fault> {
    member.object_value().ok_or_else(|| Fault::Shape(format!("{name:?} is not an object ({{ … }})")))
}

/// Members of an entry that say how the server is reached, and so are this program's to write.
const OURS: [&str; 6] = ["type", "command", "args", "env", "url", "headers"];

/// Writes the entry over what is there under its name; what else its user has put there (`disabled`, a time-out, a variable of the
/// system's) stays.
fn settle(found: &CstObjectProp, entry: &Value) -> Change {
    let before = value_of(found);
    match (found.object_value(), entry.as_object()) {
        (Some(there), Some(entry)) => {
            settle_members(&there, entry, |name| OURS.contains(&name));
        }
        _ => found.set_value(input_value(entry)),
    }
    if value_of(found) == before { Change::Unchanged } else { Change::Replaced }
}

fn settle_members(there: &CstObject, wanted: &serde_json::Map<String, Value>, is_ours: impl Fn(&str) -> bool) {
    for member in there.properties() {
        let name = member.decoded_name();
        if name.is_some_and(|name| is_ours(&name) && !wanted.contains_key(&name)) {
            member.remove();
        }
    }
    for (name, value) in wanted {
        let known = there.properties().into_iter().find(|member| member.decoded_name().as_ref() == Some(name));
        match known {
            Some(known) if value_of(&known).as_ref() == Some(value) => {}
            Some(known) => match (name.as_str(), known.object_value(), value.as_object()) {
                ("env", Some(variables), Some(wanted)) => settle_members(&variables, wanted, is_our_variable),
                _ => known.set_value(input_value(value)),
            },
            None => {
                there.append(name, input_value(value));
            }
        }
    }
}

/// Whether a variable of an entry is this program's: its own, libpq's, or what carries a key.
fn is_our_variable(name: &str) -> bool {
    name.starts_with("BAILIWICK_") || name.starts_with("PG") || name == "AUTHORIZATION"
}

fn value_of(member: &CstObjectProp) -> Option<Value> {
    member.value()?.to_serde_value()
}

/// Lets the client ask for that input; whether it did not before.
fn ask_for(root: &CstObject, input: &Value) -> Result<bool, Fault> {
    let inputs = match member(root, "inputs")? {
        Some(inputs) => {
            inputs.array_value().ok_or_else(|| Fault::Shape("\"inputs\" is not an array ([ … ])".to_owned()))?
        }
        None => root.array_value_or_set("inputs"),
    };
    let known = inputs.elements().iter().any(|one| one.to_serde_value().is_some_and(|one| one["id"] == input["id"]));
    if !known {
        inputs.append(input_value(input));
    }
    Ok(!known)
}

fn input_value(value: &Value) -> CstInputValue {
    match value {
        Value::Null => CstInputValue::Null,
        Value::Bool(is) => CstInputValue::Bool(*is),
        Value::Number(number) => CstInputValue::Number(number.to_string()),
        Value::String(text) => CstInputValue::String(text.clone()),
        Value::Array(values) => CstInputValue::Array(values.iter().map(input_value).collect()),
        Value::Object(members) => {
            CstInputValue::Object(members.iter().map(|(name, value)| (name.clone(), input_value(value))).collect())
        }
    }
}
