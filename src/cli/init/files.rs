//! The files of the projects that the binary holds. The data of the examples is as small as
//! it is in the repository, some 800 kB in all.

/// A project.
pub(super) struct Scaffold {
    /// Its files.
    pub(super) files: &'static [Template],
}

/// A file of a project.
pub(super) struct Template {
    /// Where it goes, in the project's folder.
    pub(super) path: &'static str,
    content: &'static [u8],
    change: Change,
}

/// What becomes of a file on its way.
#[derive(Clone, Copy)]
enum Change {
    /// Nothing.
    None,
    /// The pipeline gets its name.
    Name,
    /// Data lies in the folder `data` of the project, not of the repository.
    Data,
}

impl Template {
    const fn new(path: &'static str, content: &'static [u8]) -> Self {
        Self {
            path,
            content,
            change: Change::None,
        }
    }

    const fn changed(self, change: Change) -> Self {
        Self { change, ..self }
    }

    /// The content in a project of a pipeline of this name.
    pub(super) fn bytes(&self, pipeline: &str) -> Vec<u8> {
        let (from, to) = match self.change {
            Change::None => return self.content.to_vec(),
            Change::Name => ("PIPELINE", pipeline),
            Change::Data => ("../../data/", "data/"),
        };
        let text = String::from_utf8_lossy(self.content);
        let mut text = text.replace(from, to);
        if matches!(self.change, Change::Data) {
            for folder in ["wine/", "reviews/"] {
                text = text.replace(&format!("data/{folder}"), "data/");
            }
        }
        text.into_bytes()
    }
}

const GITIGNORE: Template = Template::new(".gitignore", include_bytes!("template/gitignore"));

/// A CSV file, two queries, their tests.
pub(super) const SMALL: Scaffold = Scaffold {
    files: &[
        Template::new("pipeline.yaml", include_bytes!("template/pipeline.yaml"))
            .changed(Change::Name),
        Template::new(
            "silver_orders.sql",
            include_bytes!("template/silver_orders.sql"),
        ),
        Template::new("data/orders.csv", include_bytes!("template/orders.csv")),
        GITIGNORE,
    ],
};

/// `examples/wine`.
pub(super) const WINE: Scaffold = Scaffold {
    files: &[
        Template::new(
            "pipeline.yaml",
            include_bytes!("../../../examples/wine/pipeline.yaml"),
        )
        .changed(Change::Data),
        Template::new(
            "silver_wine.sql",
            include_bytes!("../../../examples/wine/silver_wine.sql"),
        ),
        Template::new(
            "data/winequality-red.csv",
            include_bytes!("../../../data/wine/winequality-red.csv"),
        ),
        Template::new("data/README.md", include_bytes!("../../../data/README.md")),
        GITIGNORE,
    ],
};

/// `examples/sentiment`.
pub(super) const SENTIMENT: Scaffold = Scaffold {
    files: &[
        Template::new(
            "pipeline.yaml",
            include_bytes!("../../../examples/sentiment/pipeline.yaml"),
        )
        .changed(Change::Data),
        Template::new(
            "silver_reviews.sql",
            include_bytes!("../../../examples/sentiment/silver_reviews.sql"),
        ),
        Template::new(
            "data/movie.tsv.gz",
            include_bytes!("../../../data/reviews/movie.tsv.gz"),
        ),
        Template::new(
            "data/amazon.tsv.gz",
            include_bytes!("../../../data/reviews/amazon.tsv.gz"),
        ),
        Template::new(
            "data/LICENSE.txt",
            include_bytes!("../../../data/reviews/LICENSE.txt"),
        ),
        Template::new("data/README.md", include_bytes!("../../../data/README.md")),
        GITIGNORE,
    ],
};
