//! The pages: read into memory once, served with validators and a strict content policy. The list of records and
//! the editor are for the standalone mode; those for operators, and `/dpd.js`, are for all.

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::Path,
};

use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, StatusCode, header};
use sha2::{Digest, Sha256};

use crate::config::Config;

/// Largest file served, in bytes.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
/// Most files served.
const FILES_MAX: usize = 512;

/// Where what `admin.pages` is about is served.
const TOOLS: [&str; 3] = ["/operator", "/self-test", CLIENT];
/// Where the client for pages of others is served.
const CLIENT: &str = "/dpd.js";
/// Where what pages are made of is served.
const ASSETS: &str = "/assets/";

const HTML: &str = "text/html; charset=utf-8";
const POLICY: &str = "default-src 'self'; connect-src 'self' ws: wss:; img-src 'self' data: https:; \
    frame-ancestors 'none'; base-uri 'none'; form-action 'self'";

/// Files by the path they are served at.
#[derive(Debug, Default)]
pub struct Pages {
    files: HashMap<String, File>,
}

#[derive(Debug)]
struct File {
    bytes: Bytes,
    content_type: &'static str,
    tag: String,
    /// Its name holds its content's hash, so that it never changes.
    immutable: bool,
}

impl File {
    fn new(bytes: Bytes, content_type: &'static str, immutable: bool) -> Self {
        let hash = Sha256::digest(&bytes);
        let tag = hash.iter().take(8).fold(0_u64, |tag, byte| (tag << 8) | u64::from(*byte));
        Self { bytes, content_type, tag: format!("\"{tag:016x}\""), immutable }
    }

    /// Pages and `/dpd.js` are built for the default paths; this writes the configured ones, whose characters
    /// need no escaping, into them.
    fn tell_paths(&mut self, served_at: &str, config: &Config) {
        let defaults = Config::default();
        let events = (&defaults.events.path, &config.events.path);
        let meta = |name: &str, (built, path): (&String, &String)| {
            let line = |path: &str| {
                format!(r#"<meta name="{name}" content="{}">"#, path.trim_end_matches('/'))
            };
            (line(built), line(path))
        };
        let replacements = if served_at == CLIENT {
            vec![(format!("\"{}/\"", events.0), format!("\"{}/\"", events.1))]
        } else if self.content_type == HTML {
            let documents = (&defaults.path, &config.path);
            vec![meta("documents-path", documents), meta("events-path", events)]
        } else {
            return;
        };
        let Ok(text) = str::from_utf8(&self.bytes) else { return };
        let told = replacements
            .iter()
            .fold(text.to_owned(), |text, (built, configured)| text.replace(built, configured));
        *self = Self::new(told.into(), self.content_type, self.immutable);
    }

    /// Whether the name of another file stands in this one, as pages, scripts and styles name what they need.
    fn mentions(&self, name: &str) -> bool {
        self.bytes.windows(name.len()).any(|bytes| bytes == name.as_bytes())
    }
}

impl Pages {
    /// What an engine serves. A package may have been built without pages, and needs none.
    pub fn of(config: &Config) -> io::Result<Self> {
        let mut pages = match &config.pages_dir {
            Some(folder) => Self::read(folder)?,
            None => Self::default(),
        };
        if !config.admin.pages {
            pages.files.retain(|path, _| !TOOLS.contains(&path.as_str()));
        } else if let Some(folder) = &config.tools_dir {
            match Self::read(folder) {
                Ok(built) => pages.files.extend(built.tools()),
                Err(error) => log::debug!("the operators' pages are not served: {error}"),
            }
        }
        for (path, file) in &mut pages.files {
            file.tell_paths(path, config);
        }
        Ok(pages)
    }

    /// The tools and what they are made of.
    fn tools(mut self) -> HashMap<String, File> {
        let mut wanted: HashSet<String> = TOOLS.map(Into::into).into();
        let mut tools = HashMap::new();
        while let Some(path) = wanted.iter().next().cloned() {
            wanted.remove(&path);
            if let Some(file) = self.files.remove(&path) {
                let names = |asset: &&String| {
                    asset.strip_prefix(ASSETS).is_some_and(|name| file.mentions(name))
                };
                wanted.extend(self.files.keys().filter(names).cloned());
                tools.insert(path, file);
            }
        }
        tools
    }

    /// Reads all files below `folder`. `index.html` is served at `/`, other pages without their ending.
    pub fn read(folder: &Path) -> io::Result<Self> {
        let mut pages = Self::default();
        pages.read_folder(folder, "")?;
        Ok(pages)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> io::Result<()> {
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            let Ok(name) = entry.file_name().into_string() else { continue };
            let kind = entry.file_type()?;
            if kind.is_dir() {
                self.read_folder(&entry.path(), &format!("{prefix}/{name}"))?;
            } else if kind.is_file()
                && self.files.len() < FILES_MAX
                && entry.metadata()?.len() <= FILE_BYTES_MAX
            {
                self.add(&format!("{prefix}/{name}"), fs::read(entry.path())?);
            }
        }
        Ok(())
    }

    fn add(&mut self, path: &str, bytes: Vec<u8>) {
        let ending = path.rsplit_once('.').map_or("", |(_, ending)| ending);
        let content_type = match ending {
            "html" => HTML,
            "js" => "text/javascript; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "svg" => "image/svg+xml",
            "png" => "image/png",
            "ico" => "image/x-icon",
            "json" | "map" => "application/json",
            "woff2" => "font/woff2",
            "txt" => "text/plain; charset=utf-8",
            _ => "application/octet-stream",
        };
        let served_at = match path.strip_suffix(".html") {
            Some("/index") => "/".to_owned(),
            Some(page) => page.to_owned(),
            None => path.to_owned(),
        };
        let file = File::new(bytes.into(), content_type, path.starts_with(ASSETS));
        self.files.insert(served_at, file);
    }

    /// The file at `path`, or `None`. `known` is the request's `If-None-Match`.
    pub fn get(&self, path: &str, known: Option<&str>) -> Option<Response<Full<Bytes>>> {
        // go-deployd's documents name a page with its ending.
        let file = self
            .files
            .get(path)
            .or_else(|| path.strip_suffix(".html").and_then(|page| self.files.get(page)))?;
        let cache = if file.immutable { "public, max-age=31536000, immutable" } else { "no-cache" };
        let builder = Response::builder()
            .header(header::CONTENT_TYPE, file.content_type)
            .header(header::ETAG, &file.tag)
            .header(header::CACHE_CONTROL, cache)
            .header(header::CONTENT_SECURITY_POLICY, POLICY)
            .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
            .header(header::REFERRER_POLICY, "no-referrer");
        if known == Some(file.tag.as_str()) {
            return builder.status(StatusCode::NOT_MODIFIED).body(Full::default()).ok();
        }
        builder.body(Full::new(file.bytes.clone())).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serves_pages_without_their_ending() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        for (name, text) in
            [("index.html", "list"), ("edit.html", "editor"), ("assets/app-1.js", "x")]
        {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let pages = Pages::read(folder.path()).unwrap();
        let page = pages.get("/", None).unwrap();
        assert!(
            page.headers()[header::CONTENT_SECURITY_POLICY]
                .to_str()
                .unwrap()
                .contains("default-src 'self'")
        );
        let tag = page.headers()[header::ETAG].to_str().unwrap().to_owned();
        assert_eq!(pages.get("/", Some(&tag)).unwrap().status(), StatusCode::NOT_MODIFIED);
        assert!(pages.get("/edit", None).is_some() && pages.get("/edit.html", None).is_some());
        assert!(pages.get("/../Cargo.toml", None).is_none());
        let script = pages.get("/assets/app-1.js", None).unwrap();
        assert!(script.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    }

    #[test]
    fn pages_say_where_connections_are_taken() {
        let folder = tempfile::tempdir().unwrap();
        let page = |documents: &str, events: &str| {
            format!(
                r#"<meta name="documents-path" content="{documents}">
                <meta name="events-path" content="{events}">"#
            )
        };
        for name in ["edit.html", "note.txt"] {
            fs::write(folder.path().join(name), page("/realtime", "/socket.io")).unwrap();
        }
        fs::write(folder.path().join("dpd.js"), r#"path??"/socket.io/";"#).unwrap();
        let pages_dir = Some(folder.path().to_owned());
        let mut config = Config { pages_dir, path: "/live/".into(), ..Config::default() };
        config.events.path = "/hub".into();
        let pages = Pages::of(&config).unwrap();
        assert_eq!(pages.files["/edit"].bytes, page("/live", "/hub"));
        assert_eq!(pages.files["/note.txt"].bytes, page("/realtime", "/socket.io"));
        assert_eq!(pages.files["/dpd.js"].bytes, r#"path??"/hub/";"#);
        config.path = "/".into();
        let others = Pages::of(&config).unwrap();
        assert_eq!(others.files["/edit"].bytes, page("", "/hub"));
        assert_ne!(others.files["/edit"].tag, pages.files["/edit"].tag, "browsers look again");
    }

    #[test]
    fn tools_are_served_with_what_they_need_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("assets")).unwrap();
        for (name, text) in [
            ("index.html", "/assets/index-1.js"),
            ("edit.html", "/assets/edit-1.js"),
            ("operator.html", r#"<link href="/assets/o-1.css"><script src="/assets/o-1.js">"#),
            ("self-test.html", r#"<script src="/assets/s-1.js">"#),
            ("dpd.js", "dpd"),
            ("assets/index-1.js", r#"import "./shared-1.js";import "./shared-3.js""#),
            ("assets/edit-1.js", r#"import "./shared-3.js""#),
            ("assets/o-1.js", r#"import "./shared-1.js""#),
            ("assets/o-1.css", ""),
            ("assets/s-1.js", ""),
            ("assets/shared-1.js", r#"import "./shared-2.js""#),
            ("assets/shared-2.js", r#"import "./shared-1.js""#),
            ("assets/shared-3.js", ""),
        ] {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let served = |pages_dir: bool, tools: bool| {
            let dir = |named: bool| named.then(|| folder.path().to_owned());
            let mut config =
                Config { pages_dir: dir(pages_dir), tools_dir: dir(true), ..Config::default() };
            config.admin.pages = tools;
            let mut paths: Vec<_> = Pages::of(&config).unwrap().files.into_keys().collect();
            paths.sort();
            paths
        };
        let tools = [
            "/assets/o-1.css",
            "/assets/o-1.js",
            "/assets/s-1.js",
            "/assets/shared-1.js",
            "/assets/shared-2.js",
            "/dpd.js",
            "/operator",
            "/self-test",
        ];
        assert_eq!(served(false, true), tools);
        assert_eq!(served(false, false), [""; 0]);
        assert_eq!(served(true, true).len(), 13);
        let standalone = served(true, false);
        assert!(standalone.contains(&"/".into()) && standalone.contains(&"/edit".into()));
        assert!(!TOOLS.iter().any(|tool| standalone.contains(&(*tool).into())), "{standalone:?}");

        let gone = Config { tools_dir: Some("/there/is/none".into()), ..Config::default() };
        assert!(Pages::of(&gone).unwrap().files.is_empty(), "and the engine starts");
    }
}
