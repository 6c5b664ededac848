//! How amounts are written on the page, worked out here once more.

use rust_decimal::{Decimal, RoundingStrategy};
use serde_json::Value;

/// Dollars of an English reader: two decimals, four below a dollar, two significant digits below a cent.
pub fn usd(amount: &Value) -> String {
    let amount: Decimal = amount.as_str().unwrap().parse().unwrap();
    let size = amount.abs();
    let rounded = |places| size.round_dp_with_strategy(places, RoundingStrategy::MidpointAwayFromZero);
    let cent = Decimal::new(1, 2);
    let digits = if size.is_zero() || size >= Decimal::ONE {
        format!("{:.2}", rounded(2))
    } else if size >= cent {
        let four = format!("{:.4}", rounded(4));
        let least = four.len() - 2;
        let kept = four.trim_end_matches('0').len().max(least);
        four[..kept].to_owned()
    } else {
        let significant = size.round_sf_with_strategy(2, RoundingStrategy::MidpointAwayFromZero).unwrap();
        significant.normalize().to_string()
    };
    format!("{}${}", if amount.is_sign_negative() { "-" } else { "" }, grouped(&digits))
}

fn grouped(digits: &str) -> String {
    let (whole, fraction) = digits.split_once('.').map_or((digits, None), |(whole, fraction)| (whole, Some(fraction)));
    let mut parts = Vec::new();
    let mut rest = whole;
    while rest.len() > 3 {
        let (head, tail) = rest.split_at(rest.len() - 3);
        parts.insert(0, tail);
        rest = head;
    }
    parts.insert(0, rest);
    let whole = parts.join(",");
    fraction.map_or_else(|| whole.clone(), |fraction| format!("{whole}.{fraction}"))
}

#[test]
fn amounts_are_written_for_people() {
    for (amount, written) in [
        ("0", "$0.00"),
        ("1234567.895", "$1,234,567.90"),
        ("12", "$12.00"),
        ("0.5", "$0.50"),
        ("0.12345", "$0.1235"),
        ("0.0123", "$0.0123"),
        ("0.0000002", "$0.0000002"),
        ("0.00456", "$0.0046"),
        ("-3.5", "-$3.50"),
    ] {
        assert_eq!(usd(&Value::from(amount)), written);
    }
}
