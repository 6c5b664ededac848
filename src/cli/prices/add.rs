use serde_json::json;
use tokio_postgres::Client;

use super::{CommandError, How, Style};
use crate::call::Problems;
use crate::costs::prices::Price;
use crate::db::admin::{self, Standing};

/// Models that a row of the trail names.
const MOST_NAMED: usize = 50;

/// What becomes of a price.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    /// It is added.
    New,
    /// It stands in the list.
    Known,
    /// It is the price in force, so that a row would say nothing.
    Unchanged,
}

impl Verdict {
    fn of(standing: &Standing, price: &Price) -> Self {
        let is_same = |(before, _): &(Price, _)| {
            (before.input, before.output, before.cached_input) == (price.input, price.output, price.cached_input)
        };
        match (standing.known, &standing.before) {
            (Some(_), _) => Self::Known,
            (None, Some(before)) if is_same(before) => Self::Unchanged,
            (None, _) => Self::New,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::New => "new",
            Self::Known => "known",
            Self::Unchanged => "unchanged",
        }
    }
}

/// Judges the prices and adds those that are new: all of them or, if any cannot be, none.
#[expect(clippy::print_stdout, reason = "the command's output")]
pub(super) async fn run(
    client: &Client,
    command: &str,
    given: Vec<(String, Price)>,
    how: How,
) -> Result<(), CommandError> {
    let (places, prices): (Vec<String>, Vec<Price>) = given.into_iter().unzip();
    let standings = admin::judge_prices(client, &prices).await?;
    let mut problems = Problems::default();
    for ((place, price), standing) in places.iter().zip(&prices).zip(&standings) {
        if standing.known == Some(false) {
            problems.add(
                format!("{place}effective_from"),
                format_args!(
                    "is {}, from when on {}/{} has another price in the list. A price is never edited: give a later moment",
                    standing.effective_from, price.provider, price.model_name
                ),
            );
        }
        if let (None, Some((before, since)), false) = (standing.known, &standing.before, how.allow_large_changes) {
            price.compare(before, *since, place, &mut problems);
        }
    }
    problems.or(()).map_err(|problems| format!("nothing was added: {problems}"))?;
    let verdicts: Vec<Verdict> =
        standings.iter().zip(&prices).map(|(standing, price)| Verdict::of(standing, price)).collect();
    let news: Vec<Price> = prices
        .iter()
        .zip(&verdicts)
        .filter(|(_, verdict)| **verdict == Verdict::New)
        .map(|(price, _)| price.clone())
        .collect();
    if !how.dry_run && !news.is_empty() {
        let models: Vec<String> =
            news.iter().take(MOST_NAMED).map(|price| format!("{}/{}", price.provider, price.model_name)).collect();
        let told = json!({ "command": command, "added": news.len(), "models": models });
        let added = admin::add_prices(client, &news, &told).await?;
        debug_assert_eq!(usize::try_from(added).ok(), Some(news.len()));
    }
    if how.json {
        let rows = prices.iter().zip(&verdicts).zip(&standings).map(|((price, verdict), standing)| {
            json!({ "provider": price.provider, "model_name": price.model_name, "effective_from": standing.effective_from, "verdict": verdict.name() })
        });
        let rows: Vec<_> = rows.collect();
        println!("{:#}", json!({ "added": news.len(), "dry_run": how.dry_run, "prices": rows }));
        return Ok(());
    }
    print(&prices, &verdicts, &standings, how.dry_run, news.len());
    Ok(())
}

#[expect(clippy::print_stdout, reason = "the command's output")]
fn print(prices: &[Price], verdicts: &[Verdict], standings: &[Standing], dry_run: bool, news: usize) {
    let style = Style::of_stdout();
    let mut table = style.table(&["provider", "model", "from", "input / output", "was", ""]);
    for ((price, verdict), standing) in prices.iter().zip(verdicts).zip(standings) {
        let was = standing.before.as_ref().map_or_else(String::new, |(before, _)| before.shown());
        let verdict = if *verdict == Verdict::New { style.good(verdict.name()) } else { style.dim(verdict.name()) };
        let from = standing.effective_from.strftime("%Y-%m-%d %H:%MZ").to_string();
        table.add_row([&price.provider, &price.model_name, &from, &price.shown(), &was, &verdict]);
    }
    println!("{table}");
    let rest = prices.len() - news;
    match dry_run {
        true => println!("{news} would be added, {rest} are in force or in the list already; nothing was changed"),
        false => println!("{news} added, {rest} were in force or in the list already"),
    }
}
