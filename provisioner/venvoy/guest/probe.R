# Say what the R that runs this is, a word and its value to a line, with a tab between.
local({
  say <- function(word, value) cat(word, "\t", gsub("[\t\n]", " ", value), "\n", sep = "")
  say("path", file.path(R.home("bin"), "Rscript"))
  say("version", paste(R.version$major, R.version$minor, sep = "."))
  say("platform", paste(tolower(Sys.info()[["sysname"]]), Sys.info()[["machine"]], sep = "-"))
  # On Linux iconv is the C library's own.
  say("libc", extSoftVersion()[["iconv"]])
  for (each in c("version.string", "svn rev", "platform")) say("build", R.version[[each]])
  kernel <- find.package("IRkernel", c(.Library.site, .Library), quiet = TRUE)
  if (length(kernel)) say("irkernel", read.dcf(file.path(kernel[[1]], "DESCRIPTION"), "Version")[[1]])
})
