//! Dependencies between files of the program: no cycles, except between a parent module and its submodules; and the
//! separation of `web` into features and the kit. Not here: which module may use which (`rooms`).

use std::collections::{BTreeMap, BTreeSet};

use super::{Breach, Rule};
use crate::source::{self, Source};

pub const RULES: &[Rule] = &[
    Rule {
        name: "the kit of the pages names no feature",
        why: "what every feature is built of cannot be built of one: whoever changes a feature would have to know all others",
        broken: kit_names_features,
        bad: &[
            ("crates/bursar/src/web/kit/layout.rs", "use crate::web::imports::LOOKS;"),
            ("crates/bursar/src/web/kit/layout.rs", "use crate::web::{kit::format, users};"),
            ("crates/bursar/src/web/kit/json.rs", "fn f() { super::super::rewards::routes(); }"),
            ("crates/bursar/src/web/kit/json.rs", "use super::super::{guard, kit};"),
        ],
        good: &[
            (
                "crates/bursar/src/web/kit/layout.rs",
                "use super::format;\nuse crate::web::kit::form;\nuse crate::ops::home;",
            ),
            (
                "crates/bursar/src/web/kit/openapi.rs",
                "#[cfg(test)]\nmod tests {\n    fn all() { crate::web::table(); }\n}\n",
            ),
            ("crates/bursar/src/web/mod.rs", "use crate::web::users;"),
        ],
    },
    Rule {
        name: "a feature names another one by what its mod.rs shows",
        why: "what a feature shows to others stands in one place, and the rest of it can be changed without looking at them",
        broken: reaches_into_features,
        bad: &[
            ("crates/bursar/src/web/home/show.rs", "use crate::web::users::preferences::zones;"),
            ("crates/bursar/src/web/home/show.rs", "use crate::web::{kit, users::{self, account::end}};"),
            (
                "crates/bursar/src/web/payouts/pay/payees.rs",
                "fn f() { crate::web::payees::list::address(); }",
            ),
            ("crates/bursar/src/web/home/show.rs", "use crate::web::guard::gate;"),
        ],
        good: &[
            (
                "crates/bursar/src/web/home/show.rs",
                "use super::welcome::PAGE;\nuse crate::web::kit::route::Need;\nuse crate::web::{payees, users::zones};",
            ),
            ("crates/bursar/src/web/home/show.rs", "use crate::web::home::welcome::PAGE;"),
            ("crates/bursar/src/web/home/show.rs", "fn f() { crate::web::users::Device::of(); }"),
            ("crates/bursar/src/web/guard.rs", "use crate::web::users::ask_for_proof;"),
        ],
    },
];

const WEB: &str = "web";
const KIT: &str = "kit";

/// Files of `web` that belong to no feature: they use features, and no feature uses them.
const ABOVE: [&str; 1] = ["guard"];

/// Known cycles, each with the reason it remains. The list only gets shorter: remove a cycle that is gone.
const KNOWN: &[(&str, &[&str])] = &[(
    "somebody who comes in, their factors and who let them in are one story, in which each step asks the next",
    &[
        "ops::invitations",
        "ops::people",
        "ops::people::factor",
        "ops::people::keys",
        "ops::people::logins",
        "ops::people::passkeys",
        "ops::people::provider::settle",
        "ops::people::sessions",
        "ops::people::team",
    ],
)];

fn kit_names_features(file: &Source) -> Vec<Breach> {
    let Some(module) = module_of(&file.path) else { return Vec::new() };
    if part(&module, 0) != WEB || part(&module, 1) != KIT {
        return Vec::new();
    }
    let named = named(file, &module).into_iter();
    named
        .filter(|(_, path)| part(path, 0) == WEB && part(path, 1) != KIT && !part(path, 1).is_empty())
        .map(|(line, path)| (line, format!("it names {}", path.join("::"))))
        .collect()
}

fn reaches_into_features(file: &Source) -> Vec<Breach> {
    let Some(module) = module_of(&file.path) else { return Vec::new() };
    let ours = part(&module, 1);
    if part(&module, 0) != WEB || ours.is_empty() || ours == KIT {
        return Vec::new();
    }
    let above = ABOVE.contains(&ours);
    let is_module = |name: &str| name.starts_with(|letter: char| letter.is_ascii_lowercase());
    let into = |path: &[String]| {
        let theirs = part(path, 1);
        let other = part(path, 0) == WEB && theirs != ours && theirs != KIT;
        let inside = path.len() > 3 && is_module(part(path, 2));
        other && ((inside && !theirs.is_empty()) || (!above && ABOVE.contains(&theirs)))
    };
    let named = named(file, &module).into_iter().filter(|(_, path)| into(path));
    named.map(|(line, path)| (line, format!("it names {}", path.join("::")))).collect()
}

/// A module, as its path from the crate root: `web`, `kit`, `form`.
type Module = Vec<String>;

fn part(path: &[String], at: usize) -> &str {
    path.get(at).map_or("", String::as_str)
}

/// The module of a file; none for the binary and for test-only files.
fn module_of(path: &str) -> Option<Module> {
    let inside = path.strip_prefix("crates/bursar/src/")?.strip_suffix(".rs")?;
    let mut module: Module = inside.split('/').map(str::to_owned).collect();
    match part(&module, module.len() - 1) {
        "main" | "tests" => return None,
        "mod" | "lib" => module.truncate(module.len() - 1),
        _ => {}
    }
    Some(module)
}

/// The code of a file without its tests; lines are unchanged.
fn without_tests(file: &Source) -> String {
    let mut code = file.code();
    while let Some(at) = code.find("#[cfg(test)]\nmod ") {
        let end = code[at..].find("\n}").map_or(code.len(), |end| at + end + 2);
        let lines = "\n".repeat(code[at..end].matches('\n').count());
        code.replace_range(at..end, &lines);
    }
    code
}

/// An import: the name it brings into scope, and its path as written.
struct Import {
    line: usize,
    public: bool,
    name: String,
    path: Vec<String>,
}

/// The imports in code, with nested groups expanded.
fn imports(code: &str) -> Vec<Import> {
    let mut found = Vec::new();
    let (mut begin, mut lines) = (0, 1);
    for statement in code.split_inclusive([';', '{', '}']) {
        let blank = statement.len() - statement.trim_start().len();
        let line = lines + statement[..blank].matches('\n').count();
        let at = begin;
        begin += statement.len();
        lines += statement.matches('\n').count();
        let head = statement.trim_start();
        let head = head.rsplit_once(']').map_or(head, |(_, head)| head.trim_start());
        let (public, head) = match head.strip_prefix("pub") {
            Some(rest) => (true, rest.trim_start_matches(|letter| letter != 'u' && letter != ';')),
            None => (false, head),
        };
        if !head.starts_with("use ") {
            continue;
        }
        let from = at + statement.rfind("use ").unwrap_or_default() + "use ".len();
        let tree = code[from..].split(';').next().unwrap_or_default();
        take_apart(tree, &[], &mut |path, name| found.push(Import { line, public, name, path }));
    }
    found
}

/// Calls `each` with every path in a group of imports and the name it gets.
fn take_apart(tree: &str, before: &[String], each: &mut dyn FnMut(Vec<String>, String)) {
    let tree = tree.trim();
    let (head, group) = match tree.split_once('{') {
        Some((head, rest)) => (head, rest.rsplit_once('}').map(|(group, _)| group)),
        None => (tree, None),
    };
    let (head, renamed) = match head.split_once(" as ") {
        Some((head, name)) => (head, Some(name.trim().to_owned())),
        None => (head, None),
    };
    let parts = head.split("::").map(str::trim).filter(|part| !part.is_empty() && *part != "self");
    let itself = head.starts_with("self::").then(|| "self".to_owned()).filter(|_| before.is_empty());
    let path: Vec<String> = before.iter().cloned().chain(itself).chain(parts.map(str::to_owned)).collect();
    let Some(group) = group else {
        let name = renamed.or_else(|| path.last().cloned()).unwrap_or_default();
        if !tree.is_empty() {
            each(path, name);
        }
        return;
    };
    let (mut depth, mut from) = (0, 0);
    for (at, letter) in group.char_indices() {
        depth += i32::from(letter == '{') - i32::from(letter == '}');
        if letter == ',' && depth == 0 {
            take_apart(&group[from..at], &path, each);
            from = at + 1;
        }
    }
    take_apart(&group[from..], &path, each);
}

/// The paths in code outside of imports: `crate::web::form::Key`, with their lines.
fn inline_paths(code: &str) -> Vec<(usize, Vec<String>)> {
    let word = |letter: char| letter.is_alphanumeric() || letter == '_';
    let mut found = Vec::new();
    for (number, line) in code.lines().enumerate() {
        let mut rest = line;
        while let Some(at) = rest.find("::") {
            let start = rest[..at]
                .rfind(|letter: char| !word(letter))
                .map_or(0, |before| before + rest[before..].chars().next().map_or(1, char::len_utf8));
            let end = rest[start..]
                .find(|letter: char| !word(letter) && letter != ':')
                .map_or(rest.len(), |end| start + end);
            let parts: Vec<String> =
                rest[start..end].split("::").filter(|part| !part.is_empty()).map(str::to_owned).collect();
            if start < at {
                found.push((number + 1, parts));
            }
            rest = &rest[end.max(at + 2)..];
        }
    }
    found
}

/// A path from the crate root, if it refers to this crate.
fn absolute(module: &[String], path: &[String]) -> Option<Vec<String>> {
    let mut from: Vec<String> = module.to_vec();
    let mut rest = path;
    match part(rest, 0) {
        "crate" => return Some(rest[1..].to_vec()),
        "self" => rest = &rest[1..],
        "super" => {}
        _ => return None,
    }
    while part(rest, 0) == "super" {
        from.pop()?;
        rest = &rest[1..];
    }
    from.extend(rest.iter().cloned());
    Some(from)
}

/// Every path from the crate root that a file uses, in imports and elsewhere.
fn named(file: &Source, module: &[String]) -> Vec<(usize, Vec<String>)> {
    let code = without_tests(file);
    named_in(&imports(&code), &inline_paths(&code), module)
}

fn named_in(
    imported: &[Import],
    inline: &[(usize, Vec<String>)],
    module: &[String],
) -> Vec<(usize, Vec<String>)> {
    let mut found: Vec<(usize, Vec<String>)> = Vec::new();
    for import in imported {
        found.extend(absolute(module, &import.path).map(|path| (import.line, path)));
    }
    for (line, path) in inline {
        let by_name = || {
            let import = imported.iter().find(|import| import.name == part(path, 0))?;
            let mut whole = absolute(module, &import.path)?;
            whole.extend(path[1..].iter().cloned());
            Some(whole)
        };
        found.extend(absolute(module, path).or_else(by_name).map(|path| (*line, path)));
    }
    found
}

/// The program: its modules and their re-exports.
struct Program {
    published: BTreeMap<Module, BTreeMap<String, Vec<String>>>,
    named: BTreeMap<Module, Vec<Vec<String>>>,
}

impl Program {
    fn of(files: &[Source]) -> Self {
        let (mut published, mut all_named) = (BTreeMap::new(), BTreeMap::new());
        let modules: Vec<(Module, &Source)> =
            files.iter().filter_map(|file| Some((module_of(&file.path)?, file))).collect();
        let known: BTreeSet<&Module> = modules.iter().map(|(module, _)| module).collect();
        for (module, file) in &modules {
            let code = without_tests(file);
            let below = |path: &[String]| {
                let child: Module = module.iter().cloned().chain(path.first().cloned()).collect();
                known.contains(&child).then(|| module.iter().chain(path).cloned().collect::<Vec<_>>())
            };
            let from_root = |path: &[String]| absolute(module, path).or_else(|| below(path));
            let imported = imports(&code);
            let public = imported.iter().filter(|import| import.public);
            let public = public.filter_map(|import| Some((import.name.clone(), from_root(&import.path)?)));
            published.insert(module.clone(), public.collect());
            let mut paths: Vec<Vec<String>> = named(file, module).into_iter().map(|(_, path)| path).collect();
            paths.extend(imported.iter().filter_map(|import| below(&import.path)));
            paths.extend(inline_paths(&code).iter().filter_map(|(_, path)| below(path)));
            all_named.insert(module.clone(), paths);
        }
        Self { published, named: all_named }
    }

    /// The file that defines what a path names.
    fn home(&self, path: &[String], steps: usize) -> Option<Module> {
        let lengths = (0..=path.len()).rev();
        let module = lengths.map(|length| &path[..length]).find(|head| self.named.contains_key(*head))?;
        let name = path.get(module.len());
        let further = name.and_then(|name| self.published.get(module)?.get(name)).filter(|_| steps > 0);
        match (name, further) {
            // Naming a module alone uses nothing.
            (None, _) => None,
            (Some(_), Some(other)) => {
                let rest = path[module.len() + 1..].iter().cloned();
                let whole: Vec<String> = other.iter().cloned().chain(rest).collect();
                self.home(&whole, steps - 1)
            }
            (Some(_), None) => Some(module.to_vec()),
        }
    }

    /// Which file uses which. A parent module's items used by its submodules form no cycle.
    fn uses(&self) -> BTreeMap<&Module, BTreeSet<Module>> {
        let of = |(module, paths): (&'_ Module, &Vec<Vec<String>>)| {
            let homes = paths.iter().filter_map(|path| self.home(path, 9));
            homes.filter(|home| !module.starts_with(home)).collect::<BTreeSet<Module>>()
        };
        self.named.iter().map(|entry| (entry.0, of(entry))).collect()
    }

    /// The cycles, each as the names of its files.
    fn circles(&self) -> Vec<Vec<String>> {
        let uses = self.uses();
        let modules: Vec<&Module> = uses.keys().copied().collect();
        let place = |of: &Module| modules.binary_search(&of).ok();
        let next: Vec<Vec<usize>> =
            uses.values().map(|used| used.iter().filter_map(place).collect()).collect();
        let reached: Vec<BTreeSet<usize>> = (0..modules.len())
            .map(|from| {
                let mut seen = BTreeSet::new();
                let mut open = next[from].clone();
                while let Some(one) = open.pop() {
                    if seen.insert(one) {
                        open.extend(&next[one]);
                    }
                }
                seen
            })
            .collect();
        let mut circles: BTreeSet<Vec<String>> = BTreeSet::new();
        for (from, seen) in reached.iter().enumerate() {
            let circle = seen.iter().filter(|other| reached[**other].contains(&from));
            let circle: Vec<String> = circle.map(|one| modules[*one].join("::")).collect();
            if circle.len() > 1 {
                circles.insert(circle);
            }
        }
        circles.into_iter().collect()
    }
}

#[test]
fn no_files_use_each_other_in_a_circle() {
    let files = source::files(&[".rs"]);
    let circles = Program::of(&files).circles();
    let listed: BTreeSet<Vec<String>> = KNOWN
        .iter()
        .map(|(_, files)| files.iter().map(|file| (*file).to_owned()).collect::<Vec<String>>())
        .collect();
    let found: BTreeSet<Vec<String>> = circles.into_iter().collect();
    let new: Vec<&Vec<String>> = found.difference(&listed).collect();
    let gone: Vec<&Vec<String>> = listed.difference(&found).collect();
    assert!(
        new.is_empty(),
        "these files use each other in a circle, so none can be read or changed alone; move what they share below them: {new:#?}"
    );
    assert!(gone.is_empty(), "these circles are gone or smaller; say so in the list: {gone:#?}");
}

#[test]
fn circles_are_seen_and_parents_make_none() {
    let circles = |files: &[(&str, &str)]| {
        let files: Vec<Source> = files
            .iter()
            .map(|(path, text)| Source::new(format!("crates/bursar/src/{path}"), *text))
            .collect();
        Program::of(&files).circles()
    };
    // Two files that use each other, one by import and the other by path.
    let two = [
        ("ops/pay.rs", "use super::tax::Crossing;"),
        ("ops/tax.rs", "fn f() { crate::ops::pay::pay(); }"),
        ("ops/mod.rs", "pub mod pay; pub mod tax;"),
    ];
    assert_eq!(circles(&two), [["ops::pay", "ops::tax"]]);
    // Through a parent's re-export.
    let shown = [
        ("web/users/mod.rs", "mod account;\nmod list;\npub use account::{end as end_session, Device};"),
        ("web/users/account.rs", "use crate::web::portal::Words;"),
        ("web/users/list.rs", ""),
        ("web/portal/mod.rs", "mod sign_in;\npub use self::sign_in::Words;"),
        ("web/portal/sign_in.rs", "use crate::web::users;\nfn f() { users::end_session(); }"),
    ];
    assert_eq!(circles(&shown), [["web::portal::sign_in", "web::users::account"]]);
    // A parent and its children; and uses in tests only.
    let family = [
        ("ops/batches.rs", "mod paid;\nuse paid::Paid;\npub struct Draft;"),
        (
            "ops/batches/paid.rs",
            "use super::Draft;\n#[cfg(test)]\nmod tests {\n    use crate::ops::tax::x;\n}\n",
        ),
        ("ops/tax.rs", "use super::batches::paid::Paid;"),
    ];
    assert_eq!(circles(&family), Vec::<Vec<String>>::new());
}
