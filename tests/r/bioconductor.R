# Make a folder that BiocManager takes for a Bioconductor: `Rscript bioconductor.R FOLDER RELEASE`. One of its
# packages needs tinya, which repository.R makes, and one has C code.
local({
  words <- commandArgs(TRUE)
  root <- words[[1L]]
  release <- words[[2L]]
  r <- paste(R.version$major, sub("\\..*", "", R.version$minor), sep = ".")
  made <- new.env()
  sys.source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "package.R"), made)
  for (part in c("bioc", "data/annotation", "data/experiment", "workflows", "books")) {
    contrib <- file.path(root, "packages", release, part, "src/contrib")
    dir.create(contrib, recursive = TRUE)
    if (part == "bioc") {
      make <- function(...) made$make(..., into = contrib, fields = c(biocViews = "Software"))
      make("BiocVersion", paste0(release, ".1"))
      make("tinyd", "1.2.0", c = TRUE)
      make("tinybioc", "2.0.1", imports = c("tinya (>= 1.0)", "tinyd"))
    }
    if (!tools::write_PACKAGES(contrib, type = "source")) file.create(file.path(contrib, "PACKAGES"))
  }
  writeLines(
    c(
      sprintf('release_version: "%s"', release), 'devel_version: "3.99"',
      "r_ver_for_bioc_ver:", '  "2.13": "3.0"', sprintf('  "%s": "%s"', release, r), '  "3.99": "9.9"',
      unlist(lapply(c("mran", "rspm"), function(each) {
        c(paste0(each, "_ver_for_bioc_ver:"), sprintf('  "%s": "2023-04-01"', release))
      }))
    ),
    file.path(root, "config.yaml")
  )
})
