use std::path::{Path, PathBuf};

/// What tells a program another time of day; durations it measures as ever.
pub fn libfaketime() -> Option<PathBuf> {
    let paths = ["/usr/lib/*/faketime/libfaketimeMT.so.1", "/usr/lib*/faketime/libfaketimeMT.so.1"];
    paths.iter().flat_map(|paths| glob::glob(paths).unwrap()).find_map(Result::ok)
}

/// What a program has to be started with for its clock to stand in that file (`+0s`, `-40d`); it may go wrong while the program runs.
pub fn clock_of(library: &Path, clock: &Path) -> [(&'static str, PathBuf); 5] {
    [
        ("FAKETIME_NO_CACHE", "1".into()),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ("DONT_FAKE_MONOTONIC", "1".into()),
        ("FAKETIME_TIMESTAMP_FILE", clock.to_owned()),
        ("LD_PRELOAD", library.to_owned()),
    ]
}
