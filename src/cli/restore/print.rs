//! What a restore prints.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::RestoreArguments;
use crate::backup::{BackupError, RestoredTenant, Verification};
use crate::cli::Style;
use crate::diagnosis::Severity;

pub(super) fn tenant(arguments: &RestoreArguments, restored: &RestoredTenant) -> Result<ExitCode, BackupError> {
    if arguments.json {
        print(&pretty(&json!({ "restored": restored }))?);
        return Ok(ExitCode::SUCCESS);
    }
    let imported = &restored.imported;
    print(&format!(
        "tenant {} made ({}): {} documents in {} passages, as {} was at {}; it has no keys yet",
        imported.slug, imported.id, imported.documents, imported.chunks, restored.slug_in_backup, restored.made_at
    ));
    if let Some(aside) = &restored.stepped_aside {
        print(&format!("the deleted tenant of that name is {aside} now, until it is purged"));
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn report(
    arguments: &RestoreArguments,
    of: &Value,
    verification: &Verification,
    notes: &[String],
) -> Result<(), BackupError> {
    if arguments.json {
        let told = json!({
            "restore": of, "equal": verification.is_equal(), "sound": verification.is_sound(arguments.accept_definitions), "verification": verification, "notes": notes,
        });
        print(&pretty(&told)?);
        return Ok(());
    }
    let style = Style::of_stdout();
    let mut table = style.table(&["compared with the backup", "how many", "result"]);
    for comparison in &verification.comparisons {
        let result = match comparison.differing {
            0 => style.good("as it was"),
            differing => style.bad(&format!("{differing} differ")),
        };
        table.add_row([comparison.what.to_owned(), comparison.compared.to_string(), result]);
    }
    let faults = verification.findings.iter().filter(|finding| finding.severity == Severity::Fault).count();
    let told =
        |count: usize, none: &str| if count == 0 { style.good(none) } else { style.bad(&format!("{count} faults")) };
    table.add_row(["isolation, by doctor's checks".to_owned(), String::new(), told(faults, "sound")]);
    table.add_row([
        "audit trail, by its seals".to_owned(),
        String::new(),
        told(verification.audit_faults.len(), "as sealed"),
    ]);
    print(&table.to_string());
    for comparison in &verification.comparisons {
        for difference in &comparison.differences {
            print(&format!("{}  {difference}", style.bad("differs")));
        }
        let untold = comparison.differing - comparison.differences.len() as u64;
        if untold > 0 {
            print(&format!("and {untold} more of the {}", comparison.what));
        }
    }
    for finding in &verification.findings {
        print(&format!("{}  {}: {}", finding.severity.name(), finding.subject, finding.detail));
        print(&style.dim(&format!("       {} ({})", finding.remedy, finding.check)));
    }
    for fault in &verification.audit_faults {
        print(&format!("{}  {fault}", style.bad("audit")));
    }
    for note in verification.remarks.iter().chain(notes) {
        print(&format!("note  {note}"));
    }
    if of["in_place"] == true {
        let name = of["database"].as_str().unwrap_or_default();
        print(
            &style.good(&format!("the database {name} is as it was at {}", of["made_at"].as_str().unwrap_or_default())),
        );
    }
    Ok(())
}

fn pretty(value: &Value) -> Result<String, BackupError> {
    serde_json::to_string_pretty(value).map_err(|error| BackupError::Refused(error.to_string()))
}

#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) fn print(text: &str) {
    println!("{text}");
}
