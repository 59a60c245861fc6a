# Say what numbers may depend on beside the packages, a word and its value to a line, with a tab between.
local({
  say <- function(word, value) cat(word, "\t", gsub("[\t\n]", " ", value), "\n", sep = "")
  read <- function(file, split) {
    lines <- tryCatch(suppressWarnings(readLines(file)), error = function(e) character())
    found <- regmatches(lines, regexpr(split, lines), invert = TRUE)
    found <- found[lengths(found) == 2L]
    structure(trimws(vapply(found, `[`, "", 2L)), names = trimws(vapply(found, `[`, "", 1L)))
  }
  first <- function(said, ...) {
    there <- said[names(said) %in% c(...)]
    if (length(there)) there[[1L]] else ""
  }
  machine <- read("/proc/cpuinfo", ":")
  say("model", first(machine, "model name"))
  say("flags", first(machine, "flags", "Features"))
  say("count", parallel::detectCores())
  say("name", gsub('"', "", first(read("/etc/os-release", "="), "PRETTY_NAME")))
  say("machine", Sys.info()[["machine"]])
  say("libc", extSoftVersion()[["iconv"]])
  say("blas", if (nzchar(extSoftVersion()[["BLAS"]])) extSoftVersion()[["BLAS"]] else "R's own")
  say("lapack", paste(La_version(), La_library()))
  for (each in strsplit(Sys.getlocale(), ";", fixed = TRUE)[[1L]]) say("locale", each)
  named <- c(
    "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_CORETYPE", "MKL_CBWR",
    "R_ENABLE_JIT", "LANG", "LC_ALL", "LC_NUMERIC", "LC_COLLATE", "TZ", "SOURCE_DATE_EPOCH"
  )
  for (each in named[!is.na(Sys.getenv(named, NA))]) say("variable", paste0(each, "=", Sys.getenv(each)))
  say("r", R.version.string)
})
