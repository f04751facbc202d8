use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use super::HOST_TARGET;

/// What it takes to build for one target, apart from Rust itself.
struct Needs {
    target: &'static str,
    /// Start of the names of its C compiler and archiver. They also link and assemble for musl: Rust brings musl's own
    /// start files and libraries.
    prefix: &'static str,
    /// Debian's packages with that compiler and its C library.
    packages: &'static str,
}

const NEEDS: &[Needs] = &[
    Needs {
        target: "x86_64-unknown-linux-gnu",
        prefix: "x86_64-linux-gnu-",
        packages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    },
    Needs {
        target: "x86_64-unknown-linux-musl",
        prefix: "x86_64-linux-gnu-",
        packages: "gcc-x86-64-linux-gnu libc6-dev-amd64-cross",
    },
    Needs {
        target: "aarch64-unknown-linux-gnu",
        prefix: "aarch64-linux-gnu-",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    },
    Needs {
        target: "aarch64-unknown-linux-musl",
        prefix: "aarch64-linux-gnu-",
        packages: "gcc-aarch64-linux-gnu libc6-dev-arm64-cross",
    },
    Needs {
        target: "armv7-unknown-linux-gnueabihf",
        prefix: "arm-linux-gnueabihf-",
        packages: "gcc-arm-linux-gnueabihf libc6-dev-armhf-cross",
    },
    Needs {
        target: "riscv64gc-unknown-linux-gnu",
        prefix: "riscv64-linux-gnu-",
        packages: "gcc-riscv64-linux-gnu libc6-dev-riscv64-cross",
    },
];

/// A Rust compiler of this host.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Compiler {
    /// Its program; none for the one that cargo takes by itself.
    pub(super) program: Option<PathBuf>,
    /// Targets whose standard library it has.
    pub(super) targets: BTreeSet<String>,
    /// Whether it has the standard library's source, so that cargo can build that for a target.
    pub(super) has_source: bool,
}

/// What this host has to build runners with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct HostFacts {
    /// cargo's own compiler.
    pub(super) own: Compiler,
    /// The compiler that `scripts/cross-toolchain` unpacked.
    pub(super) unpacked: Option<Compiler>,
    /// Folder of the C compilers that it unpacked.
    pub(super) unpacked_bin: PathBuf,
    /// C compilers that start: a bare name when found on the `PATH`, a path when unpacked.
    pub(super) c_compilers: BTreeSet<PathBuf>,
    /// Whether cargo-zigbuild is there.
    pub(super) has_zigbuild: bool,
}

/// How cargo builds a runner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BuildRecipe {
    /// For a person: what it is built with.
    pub(super) means: &'static str,
    /// cargo's subcommand.
    pub(super) subcommand: &'static str,
    /// Arguments besides the usual, after them.
    pub(super) arguments: Vec<&'static str>,
    /// Variables for cargo.
    pub(super) environment: Vec<(String, OsString)>,
}

/// One way to make a build possible on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Remedy {
    /// What it is built with then.
    pub means: &'static str,
    /// The commands that get what is missing.
    pub commands: Vec<String>,
}

const OWN: &str = "cargo's own compiler and a cross C compiler";
const UNPACKED: &str = "the toolchain below target/toolchain";
const ZIG: &str = "cargo-zigbuild";

/// The C compilers worth looking for on the `PATH`.
pub(super) fn c_compiler_names(target: &str) -> Vec<String> {
    let native = is_native(target).then(|| "cc".to_owned());
    native.into_iter().chain(needs(target).map(|needs| format!("{}gcc", needs.prefix))).collect()
}

/// The first way to build for `target` of which all pieces are there: cargo's own compiler with a cross C compiler of
/// the system, then the toolchain that `scripts/cross-toolchain` unpacked, then cargo-zigbuild.
///
/// # Errors
/// Every way, with the commands that get what it lacks.
pub(super) fn recipe(target: &str, host: &HostFacts) -> Result<BuildRecipe, Vec<Remedy>> {
    if target == HOST_TARGET {
        return Ok(BuildRecipe {
            means: "cargo's own compiler",
            subcommand: "build",
            arguments: Vec::new(),
            environment: vec![(variable("CARGO_TARGET", target, "RUSTFLAGS"), STATIC.into())],
        });
    }
    let ways = [with_own(target, host), with_unpacked(target, host), with_zig(target, host)];
    let mut remedies = Vec::new();
    for way in ways.into_iter().flatten() {
        match way {
            Ok(recipe) => return Ok(recipe),
            Err(remedy) => remedies.push(remedy),
        }
    }
    Err(remedies)
}

type RecipeAttempt = Option<Result<BuildRecipe, Remedy>>;

/// Names cargo another compiler than its own.
const RUSTC: &str = "RUSTC";
const STATIC: &str = "-C target-feature=+crt-static";
/// zig brings musl's start files itself; Rust's would be looked for beside a standard library that cargo built.
const STATIC_BY_ZIG: &str = "-C target-feature=+crt-static -C link-self-contained=no";
/// What follows cargo's own arguments for 32-bit ARM, for the runner's linking alone. GNU ld 2.40 loses the Thumb bit
/// of the C library's indirect functions in a static program of the runner's size, which then crashes before `main`;
/// gold keeps it.
const LINK_BY_GOLD: [&str; 3] = ["--", "-C", "link-arg=-fuse-ld=gold"];
/// Has cargo build the standard library too, which a stable compiler allows under this variable only.
const BUILD_STD: &str = "-Zbuild-std=std,panic_abort";

fn with_own(target: &str, host: &HostFacts) -> RecipeAttempt {
    let needs = needs(target)?;
    let c_compiler =
        c_compiler_names(target).into_iter().map(PathBuf::from).find(|name| host.c_compilers.contains(name));
    let mut commands = Vec::new();
    if !host.own.targets.contains(target) {
        commands.push(format!("rustup target add {target}"));
    }
    if c_compiler.is_none() {
        let packages = if is_native(target) { "gcc libc6-dev" } else { needs.packages };
        commands.push(format!("apt-get install {packages}"));
    }
    Some(match c_compiler.filter(|_| commands.is_empty()) {
        Some(c_compiler) => Ok(cross_recipe(OWN, target, &host.own, &c_compiler)),
        None => Err(Remedy { means: OWN, commands }),
    })
}

fn with_unpacked(target: &str, host: &HostFacts) -> RecipeAttempt {
    let needs = needs(target)?;
    // Debian has no standard library for musl's targets, and no C library of musl's for another machine.
    if is_musl(target) {
        return None;
    }
    let c_compiler = host.unpacked_bin.join(format!("{}gcc", needs.prefix));
    let compiler = host.unpacked.as_ref().filter(|compiler| compiler.targets.contains(target) || compiler.has_source);
    Some(match compiler.filter(|_| host.c_compilers.contains(&c_compiler)) {
        Some(compiler) => Ok(cross_recipe(UNPACKED, target, compiler, &c_compiler)),
        None => Err(Remedy { means: UNPACKED, commands: vec![format!("scripts/cross-toolchain {target}")] }),
    })
}

/// zig has no static glibc, so this way is for musl alone.
fn with_zig(target: &str, host: &HostFacts) -> RecipeAttempt {
    if !is_musl(target) {
        return None;
    }
    let has_std = |compiler: &&Compiler| compiler.targets.contains(target);
    let compilers = || std::iter::once(&host.own).chain(&host.unpacked);
    let compiler = compilers().find(has_std).or_else(|| compilers().find(|compiler| compiler.has_source));
    let mut commands = Vec::new();
    if compiler.is_none() {
        commands.push(format!("scripts/cross-toolchain {target}"));
    }
    if !host.has_zigbuild {
        commands.push("pip install cargo-zigbuild".to_owned());
    }
    let Some(compiler) = compiler.filter(|_| commands.is_empty()) else {
        return Some(Err(Remedy { means: ZIG, commands }));
    };
    let mut recipe = BuildRecipe {
        means: ZIG,
        subcommand: "zigbuild",
        arguments: Vec::new(),
        environment: vec![(variable("CARGO_TARGET", target, "RUSTFLAGS"), STATIC.into())],
    };
    recipe.use_compiler(target, compiler);
    if !compiler.targets.contains(target) {
        recipe.environment[0].1 = STATIC_BY_ZIG.into();
    }
    Some(Ok(recipe))
}

fn cross_recipe(means: &'static str, target: &str, compiler: &Compiler, c_compiler: &Path) -> BuildRecipe {
    let mut recipe = BuildRecipe {
        means,
        subcommand: "build",
        arguments: Vec::new(),
        environment: vec![
            (variable("CARGO_TARGET", target, "RUSTFLAGS"), STATIC.into()),
            (variable("CARGO_TARGET", target, "LINKER"), c_compiler.into()),
            // What the `cc` crate assembles tract's kernels with.
            (format!("CC_{}", target.replace('-', "_")), c_compiler.into()),
        ],
    };
    if let Some(prefix) = c_compiler.to_str().and_then(|path| path.strip_suffix("-gcc")) {
        recipe.environment.push((format!("AR_{}", target.replace('-', "_")), format!("{prefix}-ar").into()));
    }
    recipe.use_compiler(target, compiler);
    if target.starts_with("armv7-") {
        recipe.subcommand = "rustc";
        recipe.arguments.extend(LINK_BY_GOLD);
    }
    recipe
}

impl BuildRecipe {
    /// Whether the compiler is the one that `scripts/cross-toolchain` unpacked.
    pub(super) fn is_unpacked(&self) -> bool {
        self.environment.iter().any(|(name, _)| name == RUSTC)
    }

    /// Whether cargo builds the standard library, too.
    pub(super) fn builds_std(&self) -> bool {
        self.arguments.contains(&BUILD_STD)
    }

    fn use_compiler(&mut self, target: &str, compiler: &Compiler) {
        if let Some(program) = &compiler.program {
            self.environment.push((RUSTC.to_owned(), program.into()));
        }
        if !compiler.targets.contains(target) {
            self.arguments.push(BUILD_STD);
            self.environment.push(("RUSTC_BOOTSTRAP".to_owned(), "1".into()));
        }
    }
}

fn needs(target: &str) -> Option<&'static Needs> {
    NEEDS.iter().find(|needs| needs.target == target)
}

fn is_musl(target: &str) -> bool {
    target.contains("-musl")
}

/// Whether the system's own C compiler makes code for this target's processor and system.
fn is_native(target: &str) -> bool {
    let start = |triple: &str| triple.rsplit_once('-').map(|(start, _)| start.to_owned());
    start(target) == start(HOST_TARGET)
}

/// `<start>_<TARGET>_<end>`, as cargo spells its variables.
fn variable(start: &str, target: &str, end: &str) -> String {
    format!("{start}_{}_{end}", target.to_uppercase().replace('-', "_"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const ARM: &str = "aarch64-unknown-linux-gnu";
    const ARM_MUSL: &str = "aarch64-unknown-linux-musl";

    fn own(target: &str, c_compiler: &str) -> HostFacts {
        HostFacts {
            own: Compiler { targets: [target.to_owned()].into(), ..Compiler::default() },
            c_compilers: [c_compiler.into()].into(),
            ..HostFacts::default()
        }
    }

    fn unpacked(targets: &[&str], has_source: bool) -> HostFacts {
        let targets = targets.iter().map(|&target| target.to_owned()).collect();
        HostFacts {
            unpacked: Some(Compiler { program: Some("/t/bin/rustc".into()), targets, has_source }),
            unpacked_bin: "/t/bin".into(),
            c_compilers: ["/t/bin/aarch64-linux-gnu-gcc".into(), "/t/bin/riscv64-linux-gnu-gcc".into()].into(),
            ..HostFacts::default()
        }
    }

    fn value<'a>(recipe: &'a BuildRecipe, name: &str) -> Option<&'a str> {
        recipe.environment.iter().find(|(key, _)| key == name).and_then(|(_, value)| value.to_str())
    }

    #[test]
    fn every_target_but_the_hosts_own_is_known() {
        for target in crate::runners::TARGETS {
            assert!(needs(target).is_some(), "{target}");
            assert_eq!(recipe(target, &HostFacts::default()).is_ok(), *target == HOST_TARGET, "{target}");
        }
    }

    #[test]
    fn the_systems_compilers_come_first() {
        let mut host = unpacked(&[ARM], false);
        let system = own(ARM, "aarch64-linux-gnu-gcc");
        host.own = system.own;
        host.c_compilers.extend(system.c_compilers);
        let recipe = recipe(ARM, &host).unwrap();
        assert_eq!((recipe.means, value(&recipe, RUSTC), recipe.is_unpacked()), (OWN, None, false));
        assert_eq!(value(&recipe, "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_LINKER"), Some("aarch64-linux-gnu-gcc"));
        assert_eq!(value(&recipe, "AR_aarch64_unknown_linux_gnu"), Some("aarch64-linux-gnu-ar"));
        assert_eq!(value(&recipe, "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_GNU_RUSTFLAGS"), Some(STATIC));
    }

    #[test]
    fn the_unpacked_toolchain_brings_its_own_compilers() {
        let recipe = recipe(ARM, &unpacked(&[ARM], true)).unwrap();
        assert_eq!((recipe.subcommand, value(&recipe, RUSTC)), ("build", Some("/t/bin/rustc")));
        assert!(recipe.is_unpacked());
        assert_eq!(value(&recipe, "CC_aarch64_unknown_linux_gnu"), Some("/t/bin/aarch64-linux-gnu-gcc"));
        assert_eq!(value(&recipe, "AR_aarch64_unknown_linux_gnu"), Some("/t/bin/aarch64-linux-gnu-ar"));
        assert!(recipe.arguments.is_empty(), "its standard library is there");
    }

    #[test]
    fn a_standard_library_that_is_missing_is_built_from_its_source() {
        let recipe = recipe("riscv64gc-unknown-linux-gnu", &unpacked(&[ARM], true)).unwrap();
        assert_eq!((recipe.arguments.as_slice(), value(&recipe, "RUSTC_BOOTSTRAP")), (&[BUILD_STD][..], Some("1")));
        assert!(super::recipe("riscv64gc-unknown-linux-gnu", &unpacked(&[ARM], false)).is_err());
    }

    #[test]
    fn gold_links_for_32_bit_arm_alone() {
        const ARM_32: &str = "armv7-unknown-linux-gnueabihf";
        let mut host = unpacked(&[ARM], true);
        host.c_compilers.insert("/t/bin/arm-linux-gnueabihf-gcc".into());
        let recipe = recipe(ARM_32, &host).unwrap();
        assert_eq!((recipe.subcommand, recipe.arguments[0]), ("rustc", BUILD_STD));
        assert_eq!(recipe.arguments[1..], LINK_BY_GOLD, "after `--`, where cargo reads no argument of its own");
        assert_eq!(super::recipe(ARM, &host).unwrap().subcommand, "build");
        let own = super::recipe(ARM_32, &own(ARM_32, "arm-linux-gnueabihf-gcc")).unwrap();
        assert_eq!(own.arguments, LINK_BY_GOLD);
    }

    #[test]
    fn zig_builds_for_musl_alone() {
        let mut host = own(ARM_MUSL, "none");
        host.own.targets.insert(ARM.to_owned());
        host.has_zigbuild = true;
        assert_eq!(recipe(ARM_MUSL, &host).unwrap().subcommand, "zigbuild");
        assert!(recipe(ARM, &host).is_err(), "zig has no static glibc");
        let mut host = HostFacts { has_zigbuild: true, ..unpacked(&[], true) };
        let from_source = recipe(ARM_MUSL, &host).unwrap();
        assert_eq!(from_source.arguments, [BUILD_STD]);
        assert_eq!(value(&from_source, "CARGO_TARGET_AARCH64_UNKNOWN_LINUX_MUSL_RUSTFLAGS"), Some(STATIC_BY_ZIG));
        host.has_zigbuild = false;
        assert!(recipe(ARM_MUSL, &host).is_err());
    }

    #[test]
    fn what_is_missing_is_named_with_its_command() {
        let commands = |target: &str, host: &HostFacts| -> Vec<String> {
            recipe(target, host).unwrap_err().into_iter().map(|remedy| remedy.commands.join(" && ")).collect()
        };
        let nothing = HostFacts::default();
        insta::assert_snapshot!(commands(ARM, &nothing).join("\n"), @"
        rustup target add aarch64-unknown-linux-gnu && apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        scripts/cross-toolchain aarch64-unknown-linux-gnu
        ");
        insta::assert_snapshot!(commands(ARM_MUSL, &nothing).join("\n"), @"
        rustup target add aarch64-unknown-linux-musl && apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross
        scripts/cross-toolchain aarch64-unknown-linux-musl && pip install cargo-zigbuild
        ");
        let linker_only = HostFacts { c_compilers: ["aarch64-linux-gnu-gcc".into()].into(), ..HostFacts::default() };
        assert_eq!(commands(ARM, &linker_only)[0], format!("rustup target add {ARM}"));
        let std_only = own(ARM, "none");
        assert_eq!(commands(ARM, &std_only)[0], "apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross");
    }
}
