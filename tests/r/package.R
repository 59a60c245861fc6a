# Build the source of a tiny package into a folder.
make <- function(name, version, imports = NULL, code = "hello <- function() 'hello'", c = FALSE, into,
                 fields = c(Repository = "CRAN")) {
  dir.create(into, recursive = TRUE, showWarnings = FALSE)
  source <- file.path(tempfile("source"), name)
  dir.create(file.path(source, "R"), recursive = TRUE)
  description <- c(
    Package = name, Version = version, Title = "A Tiny Package", Description = "What tests install.",
    Author = "Tests", Maintainer = "Tests <tests@example.org>", License = "Apache License 2.0", fields,
    if (length(imports)) c(Imports = paste(imports, collapse = ", "))
  )
  write.dcf(as.data.frame(as.list(description)), file.path(source, "DESCRIPTION"))
  imported <- if (length(imports)) sprintf("importFrom(%s, hello)", sub(" .*", "", imports[[1L]]))
  if (c) {
    dir.create(file.path(source, "src"))
    writeLines(
      c("#include <R.h>", "#include <Rinternals.h>", "SEXP two(void) { return ScalarInteger(2); }"),
      file.path(source, "src/two.c")
    )
    imported <- c(imported, sprintf("useDynLib(%s, two)", name))
    code <- "hello <- function() .Call(two)"
  }
  writeLines(c("export(hello)", imported), file.path(source, "NAMESPACE"))
  writeLines(code, file.path(source, "R/code.R"))
  kept <- setwd(into)
  on.exit(setwd(kept))
  built <- system2(file.path(R.home("bin"), "R"), c("CMD", "build", "--no-build-vignettes", source), stdout = FALSE)
  stopifnot(built == 0L)
}
