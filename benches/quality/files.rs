//! Reading the data files; every error names the file.

use std::fs;
use std::path::Path;

use serde::de::DeserializeOwned;

const DIMENSIONS: usize = 384;

pub(super) fn vectors(path: &Path, count: usize) -> Result<Vec<Vec<f32>>, String> {
    let bytes = fs::read(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let (numbers, rest) = bytes.as_chunks::<4>();
    if !rest.is_empty() || numbers.len() != count * DIMENSIONS {
        let wanted = count * DIMENSIONS * 4;
        return Err(format!("{} has {} bytes, not {wanted} for {count} vectors", path.display(), bytes.len()));
    }
    let vector = |numbers: &[[u8; 4]]| numbers.iter().map(|number| f32::from_le_bytes(*number)).collect();
    Ok(numbers.chunks(DIMENSIONS).map(vector).collect())
}

pub(super) fn json_lines<T: DeserializeOwned>(path: &Path) -> Result<Vec<T>, String> {
    let file = read(path)?;
    let lines = file.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    lines.map(|(row, line)| parse(line, &format!("{} line {}", path.display(), row + 1))).collect()
}

pub(super) fn parse<T: DeserializeOwned>(text: &str, place: &str) -> Result<T, String> {
    serde_json::from_str(text).map_err(|error| format!("{place} is malformed: {error}"))
}

pub(super) fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
}
