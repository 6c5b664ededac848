//! PostgreSQL's settings for this machine.

use std::{fmt::Write as _, fs, path::Path};

use super::{
    builds::Build,
    error::{EmbeddedError, IoContext},
    layout::Layout,
};

const MIB: u64 = 1 << 20;
/// Assumed where the system does not tell (macOS).
const MEMORY_WHEN_UNKNOWN: u64 = 4096 * MIB;

/// As PostgreSQL has it.
pub(super) const MOST_CONNECTIONS: u16 = 100;

/// What holds on every machine.
const FIXED: &str = "\
listen_addresses = ''
port = 5432
unix_socket_permissions = 0700
timezone = 'UTC'

# Data are as safe here as on any server.
fsync = on
full_page_writes = on
synchronous_commit = on

# Queries are short: compiling them costs more than it saves.
jit = off
random_page_cost = 1.1

wal_compression = on
min_wal_size = '80MB'
max_wal_size = '2GB'
checkpoint_timeout = '15min'

# One file a weekday, overwritten a week later.
logging_collector = on
log_filename = 'postgresql-%a.log'
log_rotation_age = '1d'
log_rotation_size = 0
log_truncate_on_rotation = on
log_file_mode = 0600
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d %a '
track_io_timing = on
";

/// Writes the settings that the next start reads. To be called under the start lock.
pub(super) fn write(layout: &Layout, build: &Build, most_connections: u16) -> Result<(), EmbeddedError> {
    let text = render(layout, build, most_connections, memory(), Path::new("/dev/shm"));
    let (path, new) = (layout.settings(), layout.settings().with_extension("conf.new"));
    fs::write(&new, text).doing("write", &new)?;
    // The account must be able to read it, whatever our umask.
    let readable = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    fs::set_permissions(&new, readable).doing("change the mode of", &new)?;
    fs::rename(&new, &path).doing("rename", &new)
}

fn render(layout: &Layout, build: &Build, most_connections: u16, memory: u64, shared_memory_folder: &Path) -> String {
    let mut text = String::from("# Written by bailiwick at each start; ALTER SYSTEM wins over it.\n");
    text.push_str(FIXED);
    let shared = (memory / 8).clamp(128 * MIB, 2048 * MIB);
    let maintenance = (memory / 16).clamp(64 * MIB, 1024 * MIB);
    let mut set = |name: &str, value: String| {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{name} = '{}'", value.replace('\'', "''"));
    };
    set("max_connections", most_connections.to_string());
    set("shared_buffers", megabytes(shared));
    set("effective_cache_size", megabytes((memory / 2).max(shared)));
    set("maintenance_work_mem", megabytes(maintenance));
    set("work_mem", megabytes((memory / 512).clamp(4 * MIB, 32 * MIB)));
    // A list of names, each in quotes, so that a comma or a space is no separator.
    set("unix_socket_directories", format!("\"{}\"", layout.socket_dir().display()));
    set("log_directory", layout.log_dir().display().to_string());
    if has_module(build, "pg_stat_statements") {
        set("shared_preload_libraries", "pg_stat_statements".to_owned());
    }
    if too_small(shared_memory_folder, maintenance) {
        // As in a container, where it is 64 MB: building an index in parallel would fail.
        set("dynamic_shared_memory_type", "mmap".to_owned());
    }
    text
}

fn megabytes(bytes: u64) -> String {
    format!("{}MB", bytes / MIB)
}

fn has_module(build: &Build, name: &str) -> bool {
    ["so", "dylib"].iter().any(|suffix| build.lib_dir.join(name).with_extension(suffix).is_file())
}

/// A parallel index build shares up to `maintenance_work_mem`, and queries share some besides.
fn too_small(shared_memory_folder: &Path, maintenance: u64) -> bool {
    rustix::fs::statvfs(shared_memory_folder)
        .is_ok_and(|disk| disk.f_blocks.saturating_mul(disk.f_frsize) < 2 * maintenance)
}

/// The memory that we may use: the machine's, or our container's share of it.
fn memory() -> u64 {
    let read = |path: &str| fs::read_to_string(path).ok();
    let machine = read("/proc/meminfo").and_then(|text| mem_total(&text));
    let limits = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    // Version 2 writes "max" and version 1 a huge number when there is no limit.
    let limit = limits.iter().find_map(|path| read(path)?.trim().parse::<u64>().ok());
    machine.into_iter().chain(limit).min().unwrap_or(MEMORY_WHEN_UNKNOWN)
}

fn mem_total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_is_read() {
        assert_eq!(mem_total("MemTotal:       24600000 kB\nMemFree: 1 kB"), Some(24_600_000 * 1024));
        assert_eq!(mem_total("nothing"), None);
    }

    #[test]
    fn settings_grow_with_the_memory_and_quote_the_folders() {
        let dir = tempfile::tempdir().unwrap();
        let data_dir = dir.path().join("it's, a place");
        fs::create_dir(&data_dir).unwrap();
        let (layout, _) = Layout::open(&data_dir).unwrap();
        let build = Build { bin_dir: "/b".into(), major: 18, lib_dir: "/none".into() };
        let small = render(&layout, &build, MOST_CONNECTIONS, 512 * MIB, Path::new("/none"));
        assert!(small.contains("shared_buffers = '128MB'") && small.contains("it''s, a place/run\"'"), "{small}");
        assert!(!small.contains("pg_stat_statements") && !small.contains("mmap"));
        let large = render(&layout, &build, 400, 65_536 * MIB, Path::new("/none"));
        assert!(small.contains("max_connections = '100'") && large.contains("max_connections = '400'"));
        assert!(large.contains("shared_buffers = '2048MB'") && large.contains("maintenance_work_mem = '1024MB'"));
    }
}
