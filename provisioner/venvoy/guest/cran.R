# Change a library, as a whole or not at all.
#
#   cran.R LIBRARY install [NAME | NAME==VERSION]...   with what they need, from the repositories of options("repos")
#   cran.R LIBRARY exactly [FILE]...                   the packages of these sources, and nothing that they need
#   cran.R LIBRARY remove  [NAME]...
#   cran.R FOLDER  fetch   [NAME==VERSION[@URL] | URL]...   nothing: the sources go into a folder, so far as there are
#                                                      any, and it is said where each was, and what repositories there
#                                                      are; a URL is one more, behind "@" it is that of the file itself
#   cran.R FOLDER  names   [r-NAME==VERSION]...        nothing: it is said how what conda calls so is really called, and
#                                                      what it needs
#
# What is installed is built in a folder of the library that R itself takes for a lock, then moved to its place. Where
# that is cut short, `00came` in it names what was being moved, and `00before` has what was there before
# (`actions/r_library.py` takes it back).
local({
  words <- commandArgs(TRUE)[-1L]
  library <- words[[1L]]
  verb <- words[[2L]]
  wanted <- words[-(1:2)]
  repos <- getOption("venvoy.repos", getOption("repos"))
  repos[repos == "@CRAN@"] <- "https://cloud.r-project.org"
  options(repos = repos, timeout = max(300, getOption("timeout")), warn = 1, menu.graphics = FALSE)
  # The user's start-up files say where packages come from, and not which are there; those that R starts read none.
  seen <- getOption("venvoy.libraries", c(.Library.site, .Library))
  Sys.setenv(R_PROFILE_USER = "")
  libraries <- function(...) assign(".lib.loc", unique(c(..., seen)), envir = environment(.libPaths))
  staging <- tempfile("00LOCK-venvoy-", library)
  further <- if (verb == "fetch") grep("^[a-z]+://", wanted, value = TRUE)
  wanted <- setdiff(wanted, further)
  further <- setdiff(further, repos)
  at <- ifelse(grepl("@", wanted, fixed = TRUE), sub("^[^@]*@", "", wanted), NA)
  wanted <- if (verb == "exactly") wanted else sub("@.*", "", wanted)
  called <- function(files) sub("_.*", "", basename(files))

  # ---- where packages come from

  # Bioconductor's repositories, by its own installer where that is there, else those that go with this R; they are
  # asked for what the others do not have.
  release <- function() {
    of_r <- function(e) as.character(tools:::.BioC_version_associated_with_R_version())
    tryCatch(as.character(suppressMessages(BiocManager::version())), error = of_r)
  }
  beyond <- local({
    found <- NULL
    function() {
      if (is.null(found)) {
        of_r <- function(e) {
          parts <- c(BioCsoft = "bioc", BioCann = "data/annotation", BioCexp = "data/experiment")
          mirror <- getOption("BioC_mirror", "https://bioconductor.org")
          vapply(parts, function(part) paste(mirror, "packages", release(), part, sep = "/"), "")
        }
        said <- tryCatch(suppressMessages(BiocManager::repositories()), error = of_r)
        found <<- said[!said %in% repos]
      }
      found
    }
  })
  # The source of a version, which a repository has moved into its archive when there was a newer one.
  everywhere <- list(function() repos, function() further, beyond)
  download <- function(url, to) {
    got <- tryCatch(suppressWarnings(utils::download.file(url, to, mode = "wb", quiet = TRUE)), error = function(e) 1L)
    if (identical(got, 0L)) structure(to, url = url)
  }
  fetch <- function(name, version, where = everywhere, at = NA) {
    file <- sprintf("%s_%s.tar.gz", name, version)
    to <- file.path(tempdir(), file)
    if (!is.na(at)) return(download(at, to))
    for (places in where) {
      for (place in utils::contrib.url(places(), "source")) {
        for (url in c(file.path(place, file), file.path(place, "Archive", name, file))) {
          if (!is.null(got <- download(url, to))) return(got)
        }
      }
    }
    asked <- unique(c(repos, further, beyond()))
    stop(sprintf("%s %s is in none of: %s", name, version, paste(asked, collapse = ", ")), call. = FALSE)
  }

  # ---- one step of an installation

  said <- character()
  hear <- function(step) {
    withCallingHandlers(step, warning = function(heard) {
      said <<- c(said, conditionMessage(heard))
      message(conditionMessage(heard))
      invokeRestart("muffleWarning")
    })
  }
  there <- function(names) file.exists(file.path(staging, names, "DESCRIPTION"))
  refuse <- function(names) {
    stop(paste(c(sprintf("%s could not be installed", paste(names, collapse = ", ")), unique(said)), collapse = "\n"),
      call. = FALSE)
  }
  needs <- function(source) {
    aside <- tempfile("needs")
    inner <- file.path(called(source), "DESCRIPTION")
    utils::untar(source, files = inner, exdir = aside)
    said <- read.dcf(file.path(aside, inner), c("Depends", "Imports", "LinkingTo"))
    listed <- trimws(sub("\\(.*", "", unlist(strsplit(said[!is.na(said)], ","))))
    setdiff(listed[nzchar(listed)], "R")
  }
  from_source <- function(source) {
    hear(utils::install.packages(source, lib = staging, repos = NULL, type = "source"))
    if (!there(called(source))) refuse(basename(source))
  }
  # R's recommended packages (Matrix, mgcv, ...) are big to compile: what of them is needed is copied from R's own.
  from_r <- function(names) {
    own <- R.home("library")
    if (own %in% seen) return()
    recommended <- function(name) identical(suppressWarnings(utils::packageDescription(name, own)$Priority), "recommended")
    for (name in setdiff(names, rownames(utils::installed.packages()))) {
      if (dir.exists(file.path(own, name)) && recommended(name)) file.copy(file.path(own, name), staging, recursive = TRUE)
    }
  }
  from_repos <- function(names, along = character()) {
    available <- hear(utils::available.packages())
    needed <- function() unique(unlist(tools::package_dependencies(names, available, recursive = TRUE)))
    from_r(c(along, setdiff(needed(), names), setdiff(names, rownames(available))))
    names <- names[!there(names)]
    if (!length(names)) return()
    if (!all(c(names, needed()) %in% c(rownames(available), rownames(utils::installed.packages())))) {
      options(repos = c(repos, beyond()))
    }
    hear(utils::install.packages(names, lib = staging))
    if (!all(there(names))) refuse(names[!there(names)])
  }
  # One after the other, each when nothing that it needs is still to come.
  in_order <- function(sources) {
    names(sources) <- called(sources)
    needed <- lapply(sources, needs)
    while (length(sources)) {
      ready <- vapply(needed[names(sources)], function(each) !any(each %in% names(sources)), NA)
      for (each in sources[if (any(ready)) ready else 1L]) from_source(each)
      sources <- sources[!there(names(sources))]
    }
  }

  # ---- the verbs

  name <- sub("==.*", "", wanted)
  version <- ifelse(grepl("==", wanted, fixed = TRUE), sub(".*==", "", wanted), NA)
  fetched <- function() {
    say <- function(word, name, value) cat(paste0(paste(word, name, value, sep = "\t"), "\n"), sep = "")
    for (each in seq_along(name)) {
      found <- tryCatch(
        fetch(name[[each]], version[[each]], at = at[[each]]),
        error = function(e) message(conditionMessage(e))
      )
      if (!is.null(found) && file.copy(found, library)) say("source", name[[each]], attr(found, "url"))
    }
    say("repository", names(repos), repos)
    say("bioconductor", names(beyond()), beyond())
    say("release", "Bioconductor", release())
  }
  called_by_r <- function() {
    index <- function(places) {
      asked <- function(place) tryCatch(utils::available.packages(place, filters = list()), error = function(e) NULL)
      do.call(rbind, lapply(utils::contrib.url(places, "source"), function(place) suppressWarnings(asked(place))))
    }
    # CRAN's own list of what has been in its archive, with all that is not current any more.
    archived <- function(places) {
      asked <- function(place) {
        from <- gzcon(url(file.path(place, "Meta/archive.rds"), "rb"))
        on.exit(close(from))
        names(readRDS(from))
      }
      unlist(lapply(utils::contrib.url(places, "source"), function(place) {
        tryCatch(suppressWarnings(asked(place)), error = function(e) NULL)
      }))
    }
    current <- list(r = index(repos), bioconductor = NULL)
    if (any(startsWith(name, "bioconductor-"))) current$bioconductor <- index(beyond())
    older <- NULL
    for (each in seq_along(name)) {
      kind <- sub("-.*", "", name[[each]])
      small <- sub("^[a-z]+-", "", name[[each]])
      alike <- function(names) unique(names[tolower(names) == small])
      rows <- current[[kind]]
      has <- function(one) any(rows[rownames(rows) == one, "Version"] == version[[each]]) || is.character(got(one))
      got <- function(one) tryCatch(fetch(one, version[[each]], everywhere[1L]), error = function(e) NULL)
      found <- alike(rownames(rows))
      if (!length(found) && kind == "r") {
        if (is.null(older)) older <- c(archived(repos), "")
        # What no list has may lie there all the same.
        found <- if (length(alike(older))) alike(older) else Filter(has, small)
      }
      # Two that differ by capitals alone are told apart by the version.
      if (length(found) > 1L) found <- Filter(has, found)
      if (!length(found)) next
      fields <- intersect(c("Depends", "Imports", "LinkingTo"), colnames(rows))
      needed <- unlist(strsplit(rows[rownames(rows) == found[[1L]], fields], ","))
      needed <- setdiff(trimws(sub("\\(.*", "", needed)), c("R", "", NA))
      cat(paste(c("name", name[[each]], found[[1L]], paste(needed, collapse = " ")), collapse = "\t"), "\n", sep = "")
    }
  }
  installed <- function() {
    pinned <- as.character(mapply(fetch, name[!is.na(version)], version[!is.na(version)]))
    along <- setdiff(unlist(lapply(pinned, needs)), c(rownames(utils::installed.packages()), name))
    latest <- name[is.na(version)]
    if (length(pinned)) {
      if (length(along)) from_repos(along, along = along)
      in_order(pinned)
    }
    if (length(latest)) from_repos(latest)
  }
  # Put what was built into its place, and what was there out of the way; interrupts wait.
  moved <- function(came, went) {
    before <- file.path(staging, "00before")
    noted <- file.path(staging, "00came")
    dir.create(before)
    went <- went[file.exists(file.path(library, went))]
    writeLines(came, noted)
    out <- file.rename(file.path(library, went), file.path(before, went))
    placed <- file.rename(file.path(staging, came), file.path(library, came))
    whole <- all(out, placed)
    if (!whole) {
      unlink(file.path(library, came[placed]), recursive = TRUE)
      file.rename(file.path(before, went[out]), file.path(library, went[out]))
    }
    unlink(noted)
    if (!whole) stop("what was installed could not be moved to ", library, call. = FALSE)
  }
  changed <- function(step) {
    on.exit(if (!file.exists(file.path(staging, "00came"))) unlink(staging, recursive = TRUE))
    if (!dir.create(staging)) stop("cannot write in ", library, call. = FALSE)
    libraries(staging)
    step
    came <- list.files(staging, "^[A-Za-z]")
    suspendInterrupts(moved(came, if (verb == "remove") name else came))
  }

  libraries()
  switch(verb,
    install = changed(installed()),
    exactly = changed(in_order(wanted)),
    remove = changed(NULL),
    fetch = fetched(),
    names = called_by_r(),
    stop("unknown verb ", verb)
  )
})
