//! Memory and swap.

use serde::{Deserialize, Serialize};

use super::{Finding, Observe, Scene};

/// How much memory is left?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MemoryQuestion {}

/// Memory and swap, in KiB.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// All memory that there is, or that a container may use.
    pub total: u64,
    /// What programs can still get without swapping.
    pub available: u64,
    /// All swap space; 0 where there is none.
    pub swap_total: u64,
    /// What is free of it.
    pub swap_free: u64,
}

impl Observe for MemoryQuestion {
    fn observe(&self, scene: &Scene) -> Result<Finding, String> {
        let text = scene.text("/proc/meminfo")?;
        let mut memory = parse(&text).ok_or("/proc/meminfo does not say how much memory there is")?;
        // In a container without an own /proc/meminfo its limit stands here, in the root of its own control groups.
        let group = |file: &str| scene.text(&format!("/sys/fs/cgroup/{file}")).unwrap_or_default();
        if let Ok(limit) = group("memory.max").trim().parse::<u64>() {
            memory.limit(limit / 1024, &group("memory.current"), &group("memory.stat"));
        }
        Ok(Finding::Memory(memory))
    }
}

impl Memory {
    /// Takes a container's limit into account.
    fn limit(&mut self, limit: u64, current: &str, stat: &str) {
        let used: u64 = current.trim().parse().unwrap_or(0);
        let cache = stat.lines().find_map(|line| line.strip_prefix("inactive_file "));
        let cache: u64 = cache.and_then(|text| text.trim().parse().ok()).unwrap_or(0);
        if limit < self.total {
            let used = used.saturating_sub(cache) / 1024;
            self.total = limit;
            self.available = self.available.min(limit.saturating_sub(used));
        }
    }
}

fn parse(meminfo: &str) -> Option<Memory> {
    let of = |name: &str| -> Option<u64> {
        let rest = meminfo
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
        rest.split_whitespace().next()?.parse().ok()
    };
    Some(Memory {
        total: of("MemTotal").filter(|total| *total > 0)?,
        available: of("MemAvailable")?,
        swap_total: of("SwapTotal").unwrap_or(0),
        swap_free: of("SwapFree").unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_container_has_the_memory_that_it_may_use() {
        let mut memory =
            parse("MemTotal: 8000 kB\nMemAvailable: 6000 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n")
                .expect("is understood");
        assert_eq!(
            memory,
            Memory {
                total: 8000,
                available: 6000,
                swap_total: 10,
                swap_free: 4
            }
        );
        memory.limit(1000, "614400\n", "anon 1\ninactive_file 102400\n");
        assert_eq!((memory.total, memory.available), (1000, 500));
        memory.limit(u64::MAX, "1", "");
        assert_eq!(memory.total, 1000);
    }

    proptest! {
        #[test]
        fn what_the_kernel_says_may_be_anything(text in "(MemTotal:|MemAvailable:|[ 0-9]{1,25}|kB|\n|.){0,60}") {
            if let Some(mut memory) = parse(&text) {
                memory.limit(5, &text, &text);
                prop_assert!(memory.total > 0);
            }
        }
    }
}
