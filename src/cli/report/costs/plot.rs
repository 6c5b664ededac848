//! Costs as a person sees them at a glance: over time as a sparkline, else as bars.

use std::collections::BTreeMap;

use jiff::civil::{Date, ISOWeekDate, Weekday};
use jiff::{Span, ToSpan};
use ratatui_core::buffer::Buffer;
use ratatui_core::layout::Rect;
use ratatui_core::widgets::Widget;
use ratatui_widgets::barchart::{Bar, BarChart};
use ratatui_widgets::sparkline::Sparkline;
use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;

use super::is_time;
use crate::costs::{GroupKey, usd};
use crate::tools::cost_report::Output;

const WIDTH: u16 = 100;
const SPARKLINE_HEIGHT: u16 = 4;
const MOST_BARS: usize = 15;
/// More cells of time than this are not drawn: nobody could tell them apart.
const MOST_PERIODS: usize = 10_000;
const LONGEST_LABEL_CHARS: usize = 32;

/// The plot of a report by its outer key, as lines; nothing where there is nothing to see.
pub(super) fn of(output: &Output, key: GroupKey) -> String {
    let mut by_key: BTreeMap<&str, Decimal> = BTreeMap::new();
    for row in &output.rows {
        let name = row.group.get(key.name()).and_then(|name| name.as_str()).unwrap_or_default();
        *by_key.entry(name).or_default() += row.sums.total_cost_usd.parse::<Decimal>().unwrap_or_default();
    }
    if by_key.len() < 2 || by_key.values().all(Decimal::is_zero) {
        return String::new();
    }
    if is_time(key) { over_time(&by_key, key).unwrap_or_default() } else { bars(&by_key) }
}

fn over_time(by_key: &BTreeMap<&str, Decimal>, key: GroupKey) -> Option<String> {
    let (first, last) = (by_key.first_key_value()?.0, by_key.last_key_value()?.0);
    let (mut at, end) = (start(first, key)?, start(last, key)?);
    let step: Span = match key {
        GroupKey::Week => 1.week(),
        GroupKey::Month => 1.month(),
        _ => 1.day(),
    };
    let starts: BTreeMap<Date, Decimal> =
        by_key.iter().filter_map(|(name, usd)| Some((start(name, key)?, *usd))).collect();
    // Nothing was spent in those that are missing.
    let mut costs = Vec::new();
    while at <= end && costs.len() < MOST_PERIODS {
        costs.push(starts.get(&at).copied().unwrap_or_default());
        at = at.checked_add(step).ok()?;
    }
    let dearest = costs.iter().max().copied().unwrap_or_default();
    let (merged, widened) = (costs.len().div_ceil(usize::from(WIDTH)), (usize::from(WIDTH) / costs.len()).clamp(1, 3));
    let cells: Vec<Decimal> = costs
        .chunks(merged)
        .map(|chunk| chunk.iter().sum::<Decimal>())
        .flat_map(|usd| std::iter::repeat_n(usd, widened))
        .collect();
    let data = scaled(&cells);
    let width = u16::try_from(data.len()).unwrap_or(WIDTH);
    let drawn = lines(Sparkline::default().data(&data), width, SPARKLINE_HEIGHT);
    let name = key.name();
    Some(format!("{drawn}{first} to {last}, the dearest {name} {} USD\n", usd(dearest)))
}

/// The first day of a period by its name.
fn start(name: &str, key: GroupKey) -> Option<Date> {
    match key {
        GroupKey::Day => name.parse().ok(),
        GroupKey::Month => format!("{name}-01").parse().ok(),
        GroupKey::Week => {
            let (year, week) = name.split_once("-W")?;
            Some(ISOWeekDate::new(year.parse().ok()?, week.parse().ok()?, Weekday::Monday).ok()?.date())
        }
        _ => None,
    }
}

fn bars(by_key: &BTreeMap<&str, Decimal>) -> String {
    let mut dearest: Vec<(&str, Decimal)> = by_key.iter().map(|(name, usd)| (*name, *usd)).collect();
    dearest.sort_by(|(name, cost), (other, its)| its.cmp(cost).then(name.cmp(other)));
    dearest.truncate(MOST_BARS);
    let costs: Vec<Decimal> = dearest.iter().map(|(_, cost)| *cost).collect();
    let bars: Vec<Bar<'_>> = dearest
        .iter()
        .zip(scaled(&costs))
        .map(|((name, _), value)| Bar::with_label(shortened(name), value).text_value(String::new()))
        .collect();
    let height = u16::try_from(bars.len()).unwrap_or(WIDTH);
    lines(BarChart::horizontal(bars).bar_gap(0), WIDTH, height)
}

fn shortened(name: &str) -> String {
    match name.chars().count() {
        ..=LONGEST_LABEL_CHARS => name.to_owned(),
        _ => name.chars().take(LONGEST_LABEL_CHARS - 1).chain(['…']).collect(),
    }
}

/// For a plot a millionth of the dearest is nothing.
fn scaled(costs: &[Decimal]) -> Vec<u64> {
    const FULL: u32 = 1_000_000;
    let most = costs.iter().max().copied().unwrap_or_default();
    let scaled = |cost: &Decimal| (*cost * Decimal::from(FULL)).checked_div(most).and_then(|part| part.to_u64());
    costs.iter().map(|cost| scaled(cost).unwrap_or_default()).collect()
}

/// Draws a widget and returns its lines without trailing blanks.
fn lines(widget: impl Widget, width: u16, height: u16) -> String {
    let area = Rect::new(0, 0, width, height);
    let mut buffer = Buffer::empty(area);
    widget.render(area, &mut buffer);
    let line = |y: u16| {
        let line: String = (0..width).filter_map(|x| buffer.cell((x, y))).map(|cell| cell.symbol()).collect();
        line.trim_end().to_owned() + "\n"
    };
    (0..height).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn costs<'a>(pairs: &[(&'a str, u32)]) -> BTreeMap<&'a str, Decimal> {
        pairs.iter().map(|(name, usd)| (*name, Decimal::from(*usd))).collect()
    }

    #[test]
    fn days_without_costs_have_their_place() {
        let plot = over_time(&costs(&[("2028-02-28", 8), ("2028-03-01", 4)]), GroupKey::Day).unwrap();
        // Three days, three cells each; the leap day is empty.
        assert_eq!(plot, "███\n███\n███   ███\n███   ███\n2028-02-28 to 2028-03-01, the dearest day 8 USD\n");
        let weeks = over_time(&costs(&[("2026-W53", 1), ("2027-W02", 1)]), GroupKey::Week).unwrap();
        assert!(weeks.contains("███   ███"), "{weeks}");
        let months = over_time(&costs(&[("2026-12", 1), ("2027-02", 1)]), GroupKey::Month).unwrap();
        assert!(months.contains("███   ███"), "{months}");
    }

    #[test]
    fn many_days_fit_the_width() {
        let names: Vec<String> =
            (0..365).map(|day| Date::constant(2026, 1, 1).saturating_add(day.days()).to_string()).collect();
        let pairs: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
        let plot = over_time(&costs(&pairs), GroupKey::Day).unwrap();
        assert!(plot.lines().all(|line| line.chars().count() <= usize::from(WIDTH)), "{plot}");
    }

    #[test]
    fn bars_are_as_long_as_their_costs() {
        let plot = bars(&costs(&[("a", 10), ("bb", 5), ("none", 0)]));
        let length = |line: &str| line.chars().filter(|c| *c == '█').count();
        let lengths: Vec<usize> = plot.lines().map(length).collect();
        assert!(lengths[0] > 80 && lengths[1].abs_diff(lengths[0] / 2) <= 1 && lengths[2] == 0, "{plot}");
        let names: Vec<_> = plot.lines().map(|line| line.split_whitespace().next().unwrap()).collect();
        assert_eq!(names, ["a", "bb", "none"]);
    }
}
