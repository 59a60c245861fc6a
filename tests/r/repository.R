# Make a folder that R takes for a CRAN: `Rscript repository.R FOLDER [NAME]...`. Its packages are tiny, and
# one has C code; each NAME is one more, which needs another.
local({
  contrib <- file.path(commandArgs(TRUE)[[1L]], "src/contrib")

  made <- new.env()
  sys.source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "package.R"), made)
  make <- function(..., into = contrib) made$make(..., into = into)

  make("tinya", "1.0", into = file.path(contrib, "Archive/tinya"), code = "hello <- function() 'hello from 1.0'")
  make("tinya", "1.1")
  make("tinyb", "0.2-1", imports = "tinya (>= 1.0)", code = "hello <- function() tinya::hello()")
  make("tinyc", "0.1", c = TRUE)
  make("tinybroken", "1.0", imports = "tinya", code = "hello <- function( {")
  make("Tiny.Cased", "1.0")
  for (name in commandArgs(TRUE)[-1L]) make(name, "1.3.2", imports = "tinyb")
  tools::write_PACKAGES(contrib, type = "source")
})
