//! Rebuilds when a migration is added: `include_dir!` alone notices only edits of files it knows.
fn main() {
    println!("cargo:rerun-if-changed=sql/migrations");
}
