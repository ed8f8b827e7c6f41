//! What the control group of this process allows (Linux cgroups, version 1 and 2): container engines
//! set their limits of memory and processes there.

use std::fs;
use std::path::{Path, PathBuf};

/// Version 1 writes the largest page-aligned number for "no limit".
const UNLIMITED: u64 = 1 << 62;

/// The limits that are set; the lowest of those that apply.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct CgroupLimits {
    /// Of memory, in bytes.
    pub(super) memory: Option<u64>,
    /// Of processes; each thread counts as one.
    pub(super) processes: Option<u64>,
}

impl CgroupLimits {
    /// The limits of this process.
    pub(super) fn read() -> Self {
        Self::read_below(Path::new("/"))
    }

    fn read_below(root: &Path) -> Self {
        let memberships = fs::read_to_string(root.join("proc/self/cgroup")).unwrap_or_default();
        let mounts = root.join("sys/fs/cgroup");
        let mut limits = Self::default();
        for line in memberships.lines() {
            // ID:CONTROLLERS:PATH; version 2 has the id 0 and no controllers.
            let mut fields = line.splitn(3, ':');
            let (Some(_), Some(controllers), Some(path)) =
                (fields.next(), fields.next(), fields.next())
            else {
                continue;
            };
            let has = |name: &str| controllers.split(',').any(|controller| controller == name);
            if controllers.is_empty() {
                for mount in [mounts.clone(), mounts.join("unified")] {
                    limits.lower(lowest(&mount, path, "memory.max"), None);
                    limits.lower(None, lowest(&mount, path, "pids.max"));
                }
            }
            if has("memory") {
                let limit = lowest(&mounts.join("memory"), path, "memory.limit_in_bytes");
                limits.lower(limit, None);
            }
            if has("pids") {
                limits.lower(None, lowest(&mounts.join("pids"), path, "pids.max"));
            }
        }
        limits
    }

    fn lower(&mut self, memory: Option<u64>, processes: Option<u64>) {
        let least = |one: Option<u64>, other: Option<u64>| one.into_iter().chain(other).min();
        self.memory = least(self.memory, memory);
        self.processes = least(self.processes, processes);
    }
}

/// The lowest limit from this group up to the root: each of them applies. A group that is not there
/// is skipped: a container may see the path of its group on the host, and its own group at the root.
fn lowest(mount: &Path, group: &str, file: &str) -> Option<u64> {
    let group: PathBuf = mount.join(group.trim_start_matches('/'));
    let upwards = group.ancestors().take_while(|path| path.starts_with(mount));
    upwards.filter_map(|path| limit_in(&path.join(file))).min()
}

fn limit_in(file: &Path) -> Option<u64> {
    // "max", for one, is no number.
    let limit = fs::read_to_string(file).ok()?.trim().parse().ok()?;
    (1..UNLIMITED).contains(&limit).then_some(limit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limits in a tree of these files.
    fn read(files: &[(&str, &str)]) -> CgroupLimits {
        let root = tempfile::tempdir().unwrap();
        for (path, content) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        CgroupLimits::read_below(root.path())
    }

    fn limits(memory: Option<u64>, processes: Option<u64>) -> CgroupLimits {
        CgroupLimits { memory, processes }
    }

    const OF_V2: (&str, &str) = ("proc/self/cgroup", "0::/a/b\n");

    #[test]
    fn the_lowest_limit_on_the_way_to_the_root_applies() {
        let nested = read(&[
            OF_V2,
            ("sys/fs/cgroup/memory.max", "1000000000\n"),
            ("sys/fs/cgroup/a/memory.max", "500000000\n"),
            ("sys/fs/cgroup/a/b/memory.max", "max\n"),
            ("sys/fs/cgroup/a/b/pids.max", "64\n"),
            ("sys/fs/cgroup/a/c/memory.max", "1\n"),
        ]);
        assert_eq!(nested, limits(Some(500_000_000), Some(64)));
    }

    #[test]
    fn a_container_finds_its_limits_at_the_root_of_its_tree() {
        let inside = ("sys/fs/cgroup/memory.max", "536870912\n");
        let own_namespace = read(&[("proc/self/cgroup", "0::/\n"), inside]);
        let host_path = read(&[("proc/self/cgroup", "0::/docker/0123\n"), inside]);
        assert_eq!(own_namespace, limits(Some(536_870_912), None));
        assert_eq!(host_path, own_namespace);
    }

    #[test]
    fn version_1_and_both_versions_beside_each_other() {
        let memberships = "9:name=systemd:/\n8:pids:/p\n4:cpu,memory:/m\n0::/u\n";
        let hybrid = read(&[
            ("proc/self/cgroup", memberships),
            ("sys/fs/cgroup/memory/m/memory.limit_in_bytes", "600000000\n"),
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/pids/p/pids.max", "max\n"),
            ("sys/fs/cgroup/pids/pids.max", "1024\n"),
            ("sys/fs/cgroup/unified/u/memory.max", "700000000\n"),
        ]);
        assert_eq!(hybrid, limits(Some(600_000_000), Some(1024)));
    }

    #[test]
    fn what_is_missing_or_no_number_is_no_limit() {
        assert_eq!(read(&[]), CgroupLimits::default());
        assert_eq!(read(&[OF_V2]), CgroupLimits::default());
        for nonsense in ["", "max", "0", "-1", "1e9", "many\n", "99999999999999999999"] {
            let found = read(&[
                ("proc/self/cgroup", "nonsense\n0::/a/b\n1:memory\n"),
                ("sys/fs/cgroup/a/memory.max", nonsense),
            ]);
            assert_eq!(found, CgroupLimits::default(), "{nonsense}");
        }
    }
}
