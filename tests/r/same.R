# Make a folder that R takes for a CRAN, with the packages that other kinds of environments are asked about, too:
# `Rscript same.R FOLDER`.
local({
  contrib <- file.path(commandArgs(TRUE)[[1L]], "src/contrib")
  made <- new.env()
  sys.source(file.path(dirname(sub("--file=", "", grep("--file=", commandArgs(), value = TRUE))), "package.R"), made)
  made$make("marker", "1.0", into = file.path(contrib, "Archive/marker"))
  made$make("marker", "2.0", into = contrib)
  made$make("tool", "1.0", imports = "marker (>= 1.0)", into = contrib)
  made$make("fromindex", "1.0", into = contrib)
  tools::write_PACKAGES(contrib, type = "source")
})
