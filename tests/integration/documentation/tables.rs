//! The documentation's generated tables: `BAILIWICK_BLESS=1 cargo test documentation` writes them anew.

use std::fmt::Write;
use std::path::Path;

use bailiwick::identity::Scopes;
use bailiwick::mcp::Toolbox;
use bailiwick::tools::EmbeddingSpace;

fn tools() -> String {
    let toolbox = Toolbox::new(&EmbeddingSpace {
        dimensions: 0,
        model_id: 0,
        model_name: String::new(),
        ..EmbeddingSpace::default()
    });
    let definitions = toolbox.definitions(&Scopes::all());
    let mut table = "| tool | scope | what it does |\n|---|---|---|\n".to_owned();
    for (definition, (name, scope)) in definitions.iter().zip(toolbox.scopes()) {
        let description = definition.description.as_deref().unwrap_or_default();
        let first = description.split_inclusive(". ").next().unwrap_or_default().trim();
        writeln!(table, "| `{name}` | `{scope}` | {first} |").unwrap();
    }
    table
}

fn variables() -> String {
    let mut table = "| variable | flag | what it sets |\n|---|---|---|\n".to_owned();
    for argument in bailiwick::cli::command().get_arguments() {
        let (Some(variable), Some(flag)) = (argument.get_env(), argument.get_long()) else { continue };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(table, "| `{}` | `--{flag}` | {help} |", variable.to_string_lossy()).unwrap();
    }
    table
}

/// `.env.example`: every variable with what it sets, commented out.
fn environment() -> String {
    let mut file = "# Configuration of bailiwick: copy to .env and load it into the environment.\n".to_owned();
    for argument in bailiwick::cli::command().get_arguments() {
        let Some(variable) = argument.get_env() else { continue };
        let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
        writeln!(file, "\n# {help}\n#{}=", variable.to_string_lossy()).unwrap();
    }
    file
}

/// A document with what lies between the marks replaced.
fn generated(document: &str, name: &str, table: &str) -> String {
    let (start, end) = (format!("<!-- generated: {name} -->\n"), "<!-- /generated -->");
    let (before, rest) = document.split_once(&start).expect("the mark is there");
    let (_, after) = rest.split_once(end).expect("the closing mark is there");
    format!("{before}{start}{table}{end}{after}")
}

/// The file's text, after it was written anew where that is asked for.
fn blessed(path: &str, wanted: impl Fn(&str) -> String) -> (String, String) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    let wanted = wanted(&found);
    if std::env::var_os("BAILIWICK_BLESS").is_some() {
        std::fs::write(&path, &wanted).unwrap();
        return (wanted.clone(), wanted);
    }
    (found, wanted)
}

#[test]
fn the_example_environment_names_every_variable() {
    let (found, wanted) = blessed(".env.example", |_| environment());
    assert!(found == wanted, ".env.example is out of date: run `BAILIWICK_BLESS=1 cargo test documentation`");
}

#[test]
fn the_tables_of_the_documentation_are_those_of_the_program() {
    for (file, name, table) in [("README.md", "tools", tools()), ("docs/configuration.md", "variables", variables())] {
        let (found, wanted) = blessed(file, |text| generated(text, name, &table));
        assert!(found == wanted, "{file} is out of date: run `BAILIWICK_BLESS=1 cargo test documentation`");
    }
}
