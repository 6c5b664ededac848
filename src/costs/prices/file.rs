use clap::ValueEnum;
use serde_json::Value;

use super::price::{Fields, Price};
use crate::call::Problems;

/// How a price list is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum FileFormat {
    /// A header with the names of the columns, and a line for each price.
    Csv,
    /// A list of objects, or an object with such a list as its "prices".
    Json,
}

/// Most prices of one file.
const MOST_PRICES: usize = 10_000;
/// Most problems that are told at once.
const MOST_TOLD: usize = 20;

/// Reads a price list. What a column does not say, `defaults` do.
///
/// # Errors
/// What is wrong with it, by line or entry; nothing of such a file is used.
pub fn read(text: &str, format: FileFormat, defaults: &Fields) -> Result<Vec<(String, Price)>, String> {
    let rows = match format {
        FileFormat::Csv => csv_rows(text)?,
        FileFormat::Json => json_rows(text)?,
    };
    match rows.len() {
        0 => return Err("the file has no prices".to_owned()),
        1..=MOST_PRICES => {}
        many => return Err(format!("the file has {many} prices; at most {MOST_PRICES} are taken at once")),
    }
    let (mut prices, mut told) = (Vec::<(String, Price)>::new(), Vec::new());
    for (place, mut fields) in rows {
        for (name, text) in defaults {
            let given = fields.entry(name.clone()).or_default();
            if given.trim().is_empty() {
                given.clone_from(text);
            }
        }
        match Price::checked(&fields, &place) {
            Ok(price) => {
                let twin = prices.iter().find(|(_, other)| is_twin(other, &price));
                match twin {
                    Some((first, _)) => told.extend(one(&place, first)),
                    None => prices.push((place, price)),
                }
            }
            Err(problems) => told.extend(problems.iter().map(|problem| format!("{} {}", problem.field, problem.text))),
        }
    }
    if told.is_empty() {
        return Ok(prices);
    }
    let more = told.len().saturating_sub(MOST_TOLD);
    told.truncate(MOST_TOLD);
    if more > 0 {
        told.push(format!("and {more} more"));
    }
    Err(format!("nothing was added:\n  {}", told.join("\n  ")))
}

fn is_twin(one: &Price, other: &Price) -> bool {
    (&one.provider, &one.model_name, one.effective_from) == (&other.provider, &other.model_name, other.effective_from)
}

fn one(place: &str, first: &str) -> Vec<String> {
    let first = first.trim_end_matches(": ");
    let problem =
        Problems::one(format!("{place}model_name"), format_args!("has a price from the same moment on at {first}"));
    problem.iter().map(|problem| format!("{} {}", problem.field, problem.text)).collect()
}

fn csv_rows(text: &str) -> Result<Vec<(String, Fields)>, String> {
    // A spreadsheet's byte order mark is no part of the first name.
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let heads: Vec<String> =
        reader.headers().map_err(|error| error.to_string())?.iter().map(str::to_ascii_lowercase).collect();
    let rows = reader.records().map(|record| {
        let record = record.map_err(|error| format!("the file is no CSV: {error}"))?;
        let line = record.position().map_or(0, csv::Position::line);
        let fields = heads.iter().cloned().zip(record.iter().map(str::to_owned)).collect();
        Ok((format!("line {line}: "), fields))
    });
    rows.collect()
}

fn json_rows(text: &str) -> Result<Vec<(String, Fields)>, String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("the file is no JSON: {error}"))?;
    let list = value.get("prices").unwrap_or(&value);
    let list = list.as_array().ok_or("the file is neither a list of prices nor an object whose \"prices\" is one")?;
    let rows = list.iter().enumerate().map(|(at, entry)| {
        let place = format!("price {}: ", at + 1);
        let object = entry.as_object().ok_or_else(|| format!("{place}is no object"))?;
        let mut fields = Fields::new();
        for (name, value) in object {
            let text = match value {
                Value::Null => continue,
                Value::String(text) => text.clone(),
                Value::Number(number) => number.to_string(),
                // Told by the commands' own listing, and nothing to take over.
                _ => return Err(format!("{place}{name} is neither text nor a number")),
            };
            if name != "state" {
                fields.insert(name.clone(), text);
            }
        }
        Ok((place, fields))
    });
    rows.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADS: &str = "provider,model_name,input_usd_per_million,output_usd_per_million,source\n";

    #[test]
    fn both_formats_say_the_same() {
        let csv = format!("\u{feff}{HEADS}p,m,2.50,10,a page\np,n, 0.02 ,0,\"a, b\"\n");
        let json = r#"{"prices": [
            {"provider": "p", "model_name": "m", "input_usd_per_million": 2.5, "output_usd_per_million": "10", "source": "a page", "state": "in force"},
            {"provider": "p", "model_name": "n", "input_usd_per_million": "0.02", "output_usd_per_million": 0, "cached_input_usd_per_million": null, "source": "a, b"}]}"#;
        let prices = |rows: Vec<(String, Price)>| rows.into_iter().map(|(_, price)| price).collect::<Vec<_>>();
        let nothing = Fields::new();
        let read_csv = prices(read(&csv, FileFormat::Csv, &nothing).unwrap());
        assert_eq!(read_csv, prices(read(json, FileFormat::Json, &nothing).unwrap()));
        assert_eq!((read_csv.len(), read_csv[1].source.as_str()), (2, "a, b"));
    }

    #[test]
    fn whatever_is_wrong_is_told_by_line_and_nothing_is_taken() {
        let nothing = Fields::new();
        let refused = |text: &str, format: FileFormat| read(text, format, &nothing).unwrap_err();
        let told = refused(&format!("{HEADS}p,m,2.5,10,x\np,m,3,10,x\np,n,20000,1,x\n"), FileFormat::Csv);
        assert!(told.contains("line 3: model_name has a price from the same moment on at line 2"), "{told}");
        assert!(told.contains("line 4: input_usd_per_million is 20000; allowed"), "{told}");
        assert!(refused(&format!("{HEADS}p,m,2.5\n"), FileFormat::Csv).contains("no CSV"));
        assert!(refused(HEADS, FileFormat::Csv).contains("no prices"));
        assert!(refused("{}", FileFormat::Json).contains("neither a list"));
        assert!(refused("[[]]", FileFormat::Json).contains("price 1: is no object"));
        assert!(refused("[", FileFormat::Json).contains("no JSON"));
        let many = format!("{HEADS}{}", "p,m,-1,0,x\n".repeat(50));
        assert!(refused(&many, FileFormat::Csv).contains("and 30 more"));
    }

    #[test]
    fn what_a_file_leaves_out_comes_from_the_command() {
        let defaults = Fields::from([("source".to_owned(), "a list".to_owned())]);
        let rows = read(&format!("{HEADS}p,m,1,2,\np,n,1,2,own\n"), FileFormat::Csv, &defaults).unwrap();
        let sources: Vec<_> = rows.iter().map(|(_, price)| price.source.as_str()).collect();
        assert_eq!(sources, ["a list", "own"]);
    }
}
