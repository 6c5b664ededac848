//! Whether the schema is what the migrations of this version make: each object by its name, and who may do what with it.

use std::collections::{BTreeMap, BTreeSet};

use tokio_postgres::Client;

use super::{Finding, Severity, checks};
use crate::db::DbError;
use crate::db::admin::{self, SchemaObject};

/// What `sql/queries/diagnosis/schema.sql` returns on a database that was just migrated: kind, name and definition, by tabs. A test keeps
/// it so (`BAILIWICK_BLESS=1 cargo test objects` writes it anew).
const OBJECTS: &str = include_str!("../../sql/objects.txt");
/// Of each kind of fault so many are named.
const MOST_NAMED: usize = 20;
/// Kinds that stand in the way of the program also where they are none of its own.
const IN_THE_WAY: [&str; 2] = ["trigger", "constraint"];

type Objects<'a> = BTreeMap<(&'a str, &'a str), &'a str>;

fn wanted() -> Objects<'static> {
    let fields = |line: &'static str| {
        let mut fields = line.splitn(3, '\t');
        Some(((fields.next()?, fields.next()?), fields.next().unwrap_or_default()))
    };
    OBJECTS.lines().filter_map(fields).collect()
}

/// Whether the migrations make an index of that name.
pub(super) fn is_own_index(name: &str) -> bool {
    wanted().contains_key(&("index", name))
}

/// What of the schema is missing, is another, or is too much.
pub(super) async fn examine(client: &Client) -> Result<Vec<Finding>, DbError> {
    let found = admin::schema_objects(client).await?;
    Ok(compare(&found, &wanted()))
}

fn compare(found: &[SchemaObject], wanted: &Objects<'_>) -> Vec<Finding> {
    let found: Objects<'_> =
        found.iter().map(|object| ((object.kind.as_str(), object.name.as_str()), object.definition.as_str())).collect();
    let is_gone = |kind: &str, name: &str| !found.contains_key(&(kind, name));
    let gone: Vec<&str> =
        wanted.keys().filter(|(kind, name)| *kind == "table" && is_gone(kind, name)).map(|(_, name)| *name).collect();
    let mut findings = Vec::new();
    for ((kind, name), definition) in wanted {
        match found.get(&(*kind, *name)) {
            Some(found) if found == definition => {}
            Some(_) if *kind == "grant" => findings.push(given_on(name)),
            Some(found) => findings.push(object(kind, name, &format!("is {found}; this version's is {definition}"))),
            // With a table goes what it has.
            None if gone.iter().any(|table| is_of(table, kind, name, definition)) => {}
            None if *kind == "grant" => findings.push(grant(name, false)),
            None => findings.push(object(kind, name, "is missing")),
        }
    }
    let ours: BTreeSet<String> = wanted.keys().filter_map(|(kind, name)| as_granted(kind, name)).collect();
    for ((kind, name), definition) in found.iter().filter(|(key, _)| !wanted.contains_key(*key)) {
        let is_of_ours = || name.split_once('.').is_some_and(|(table, _)| wanted.contains_key(&("table", table)));
        if *kind == "grant" {
            let (_, object) = name.split_once(" ON ").unwrap_or_default();
            // Of objects of somebody's own it matters what the application may.
            if ours.contains(object) || name.starts_with("bailiwick_app: ") {
                findings.push(grant(name, true));
            }
        } else if IN_THE_WAY.contains(kind) && is_of_ours() {
            findings.push(Finding {
                severity: Severity::Note,
                remedy: "if nobody knows what for, drop it: no migration makes it".to_owned(),
                ..object(kind, name, &format!("is none of this version's: {definition}"))
            });
        }
    }
    shortened(findings)
}

/// Whether it goes with that table.
fn is_of(table: &str, kind: &str, name: &str, definition: &str) -> bool {
    match kind {
        "grant" => name.split_once(" ON TABLE ").is_some_and(|(_, of)| of == table),
        "index" => definition.strip_prefix("of ").and_then(|of| of.split_once(' ')).is_some_and(|(of, _)| of == table),
        _ => name.split_once('.').is_some_and(|(of, _)| of == table),
    }
}

/// The object as a privilege names it.
fn as_granted(kind: &str, name: &str) -> Option<String> {
    match kind {
        "table" | "view" | "materialized view" => Some(format!("TABLE {name}")),
        "sequence" => Some(format!("SEQUENCE {name}")),
        "function" => Some(format!("FUNCTION {name}")),
        "grant" => name.ends_with(" ON SCHEMA public").then(|| "SCHEMA public".to_owned()),
        _ => None,
    }
}

fn object(kind: &str, name: &str, detail: &str) -> Finding {
    Finding {
        check: "schema_objects",
        severity: Severity::Fault,
        subject: name.to_owned(),
        detail: format!("the {kind} {detail}"),
        remedy: checks::SCHEMA.to_owned(),
    }
}

/// A privilege that is there and should not be, or the other way about.
fn grant(name: &str, is_there: bool) -> Finding {
    let (role, privilege) = name.split_once(": ").unwrap_or(("", name));
    let severity = match role {
        "bailiwick_app" | "PUBLIC" => Severity::Fault,
        _ if is_there => Severity::Warning,
        _ => Severity::Fault,
    };
    let (detail, remedy) = match is_there {
        true => (format!("has {privilege}, which no migration grants"), format!("REVOKE {privilege} FROM {role}")),
        false => (format!("lacks {privilege}"), format!("GRANT {privilege} TO {role}")),
    };
    let remedy = format!("{remedy}; and find out who changed it, and since when");
    Finding { check: "grants", severity, subject: role.to_owned(), detail, remedy }
}

/// A privilege that whoever has it may give on to others. No migration grants one so.
fn given_on(name: &str) -> Finding {
    let (role, privilege) = name.split_once(": ").unwrap_or(("", name));
    Finding {
        detail: format!("may give {privilege} on to others"),
        remedy: format!("REVOKE GRANT OPTION FOR {privilege} FROM {role}; and find out who changed it, and since when"),
        ..grant(name, true)
    }
}

fn shortened(mut findings: Vec<Finding>) -> Vec<Finding> {
    findings.sort_by_key(|finding| finding.severity);
    let mut shortened = Vec::new();
    for check in ["grants", "schema_objects"] {
        let of_check: Vec<_> = findings.iter().filter(|finding| finding.check == check).collect();
        shortened.extend(of_check.iter().take(MOST_NAMED).map(|finding| (*finding).clone()));
        if let Some(next) = of_check.get(MOST_NAMED) {
            shortened.push(Finding {
                subject: "schema".to_owned(),
                detail: format!("and {} more of the kind", of_check.len() - MOST_NAMED),
                ..(*next).clone()
            });
        }
    }
    shortened
}

#[cfg(test)]
mod tests {
    use super::*;

    fn objects(lines: &[(&str, &str, &str)]) -> Vec<SchemaObject> {
        let object = |(kind, name, definition): &(&str, &str, &str)| SchemaObject {
            kind: (*kind).to_owned(),
            name: (*name).to_owned(),
            definition: (*definition).to_owned(),
        };
        lines.iter().map(object).collect()
    }

    const WANTED: [(&str, &str, &str); 7] = [
        ("column", "documents.id", "uuid, not null"),
        ("grant", "bailiwick_app: SELECT ON TABLE documents", ""),
        ("index", "by_title", "of documents by btree"),
        ("function", "f(integer)", "of bailiwick_owner, text 0123"),
        ("table", "documents", "of bailiwick_owner"),
        ("table", "tenants", "of bailiwick_owner"),
        ("trigger", "documents.count", "calls f (4)"),
    ];

    fn compared(found: &[(&str, &str, &str)]) -> Vec<(&'static str, Severity, String)> {
        let wanted = WANTED.iter().map(|(kind, name, definition)| ((*kind, *name), *definition)).collect();
        let findings = compare(&objects(found), &wanted).into_iter();
        findings
            .map(|finding| (finding.check, finding.severity, format!("{}: {}", finding.subject, finding.detail)))
            .collect()
    }

    #[test]
    fn what_is_missing_is_named_and_with_a_table_what_goes_with_it_is_not() {
        assert_eq!(compared(&WANTED), []);
        let without = |name: &str| {
            let left: Vec<_> = WANTED.into_iter().filter(|(_, of, _)| *of != name).collect();
            compared(&left)
        };
        let fault = |check, text: &str| vec![(check, Severity::Fault, text.to_owned())];
        assert_eq!(without("by_title"), fault("schema_objects", "by_title: the index is missing"));
        assert_eq!(
            without("bailiwick_app: SELECT ON TABLE documents"),
            fault("grants", "bailiwick_app: lacks SELECT ON TABLE documents")
        );
        let others = [WANTED[3], WANTED[5]];
        assert_eq!(compared(&others), fault("schema_objects", "documents: the table is missing"));
    }

    #[test]
    fn of_what_is_too_much_only_that_is_told_which_matters() {
        let with = |more: (&'static str, &'static str, &'static str)| compared(&[&WANTED[..], &[more]].concat());
        let grant = |name| with(("grant", name, "")).first().map(|(_, severity, _)| *severity);
        assert_eq!(grant("bailiwick_app: TRUNCATE ON TABLE documents"), Some(Severity::Fault));
        assert_eq!(grant("PUBLIC: EXECUTE ON FUNCTION f(integer)"), Some(Severity::Fault));
        assert_eq!(grant("bailiwick_backup: INSERT ON TABLE documents"), Some(Severity::Warning));
        assert_eq!(grant("bailiwick_app: SELECT ON TABLE their_own"), Some(Severity::Fault));
        assert_eq!(grant("PUBLIC: EXECUTE ON FUNCTION their_own()"), None);
        assert_eq!(with(("index", "their_own", "of documents by btree")), []);
        assert_eq!(with(("trigger", "their_own.t", "calls g (4)")), []);
        assert_eq!(with(("trigger", "documents.t", "calls g (4)"))[0].1, Severity::Note);
    }

    #[test]
    fn of_many_the_first_are_named() {
        let names: Vec<String> = (0..25).map(|n| format!("bailiwick_app: SELECT ON TABLE t{n:02}")).collect();
        let more: Vec<_> = names.iter().map(|name| ("grant", name.as_str(), "")).collect();
        let told = compared(&[&WANTED[..], &more].concat());
        assert_eq!((told.len(), told[20].2.as_str()), (21, "schema: and 5 more of the kind"));
    }
}
