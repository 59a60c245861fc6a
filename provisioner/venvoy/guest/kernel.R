# Start IRkernel inside an environment: its own, or the one lent from a support folder.
#
#   kernel.R SESSION (SUPPORT | -) CONNECTION_FILE
local({
  words <- commandArgs(TRUE)[-1L]
  guest <- dirname(commandArgs(TRUE)[[1L]])
  session <- words[[1L]]
  support <- words[[2L]]
  connection <- words[[3L]]
  libraries <- function(seen) assign(".lib.loc", unique(seen), envir = environment(.libPaths))
  own <- .libPaths()
  waiting <- character()
  busy <- file.path(session, "busy")

  # A locale of the machine outside may not be in the image, and without UTF-8 no text survives.
  if (!isTRUE(l10n_info()[["UTF-8"]])) suppressWarnings(Sys.setlocale("LC_CTYPE", "C.UTF-8"))

  # ---- the kernel's own packages: the environment's come first, the lent ones behind

  if (support != "-") {
    libraries(c(own, file.path(support, "library")))
    shared <- list.files(file.path(support, "shared"), full.names = TRUE)
    # An image may have no ZeroMQ. What is loaded already is found by its name, and needs no path.
    bring <- function() {
      while (length(shared)) {
        failed <- vapply(shared, function(each) inherits(try(dyn.load(each, local = TRUE), silent = TRUE), "try-error"), NA)
        if (all(failed)) break
        shared <- shared[failed]
      }
    }
    tryCatch(loadNamespace("pbdZMQ"), error = function(e) bring())
  }
  tryCatch(loadNamespace("IRkernel"), error = function(e) {
    if (support == "-") stop(e)
    stop(conditionMessage(e), "\nThe kernel that is lent does not run with packages that this environment has of its own.\n",
      "Bring them up to date, or give it its own kernel: venvoy install ", Sys.getenv("VENVOY_ENVIRONMENT"), " IRkernel",
      call. = FALSE)
  })
  lent <- setdiff(loadedNamespaces(), rownames(installed.packages(own)))
  # What is lent must not count as installed: a package that needs it would be installed without it.
  libraries(own)
  for (each in intersect(c("repr", "IRdisplay"), lent)) attachNamespace(each, pos = length(search()))

  # ---- interrupts: they reach what a cell runs, and nothing else

  imports <- parent.env(asNamespace("IRkernel"))
  instead <- function(name, made) {
    before <- get(name, imports)
    unlockBinding(name, imports)
    assign(name, made(before), imports)
    lockBinding(name, imports)
  }
  instead("zmq.send.multipart", function(before) function(...) suspendInterrupts(before(...)))
  instead("evaluate", function(before) {
    function(...) {
      if (identical(list(...)[[1L]], "stop()")) return(before(...)) # IRkernel asks how deep it stands
      # One that came while nothing ran is for nobody.
      tryCatch(allowInterrupts(Sys.sleep(0)), interrupt = function(e) NULL)
      first()
      # Whoever writes down what is installed waits for the end of the cell.
      if (!isTRUE(kernel$executor$is_silent())) quietly(look())
      file.create(busy)
      stood <- file.mtime(own[[1L]])
      on.exit({
        if (!identical(file.mtime(own[[1L]]), stood)) quietly(tell())
        unlink(busy)
      })
      allowInterrupts(before(...))
    }
  })
  first <- function() {
    if (!length(waiting) || isTRUE(kernel$executor$is_silent())) return()
    kernel$executor$stream(paste0(waiting, "\n"), "stderr")
    waiting <<- character()
  }

  # ---- what is installed, and the verbs: recording must never break a notebook

  part <- function(name) {
    made <- new.env(parent = baseenv())
    sys.source(file.path(guest, paste0(name, ".R")), made)
    made[[name]]
  }
  line <- part("wire")(session)
  cell <- function() {
    named <- kernel$executor$current_request$metadata$cellId
    list(cell = if (is.character(named)) named else "", count = kernel$executor$execution_count)
  }
  failed <- FALSE
  quietly <- function(step) {
    tryCatch(step, error = function(e) {
      if (failed) return()
      failed <<- TRUE
      said <- sprintf("venvoy: what is installed here is not being recorded: %s\n", conditionMessage(e))
      kernel$executor$stream(said, "stderr")
    })
  }
  # What is loaded, as those who compare it with the environment's library want it, be it from there or lent; the prefix
  # is a link, which may lead elsewhere now.
  places <- unique(c(own[[1L]], normalizePath(own[[1L]])))
  loaded <- function() {
    places <<- unique(c(places, normalizePath(own[[1L]])))
    from <- function(each) dirname(getNamespaceInfo(each, "path"))
    all <- setdiff(loadedNamespaces(), "base")
    said <- lapply(all, function(each) {
      lent <- !from(each) %in% places
      list(version = getNamespaceVersion(each)[[1L]], file = each, lent = lent, after = 0, by = 0)
    })
    structure(said, names = all)
  }
  compared <- file.mtime(own[[1L]])
  # Something came or went since the cell before: say, once, which loaded packages are not what is there now.
  look <- function() {
    stamp <- file.mtime(own[[1L]])
    if (identical(stamp, compared)) return()
    word <- line$ask(list(note = "moved", modules = loaded()), patience = 5)$answer
    if (is.null(word)) return() # an installer is still at work; we ask again before the next cell
    compared <<- stamp
    if (nzchar(word)) kernel$executor$stream(paste0("venvoy: ", word, "\n"), "stderr")
  }
  tell <- function(called = list()) line$ask(c(list(note = "cell", called = called, moved = TRUE), cell()), patience = 5)
  installing <- function(yes) line$ask(list(note = "installing", yes = yes), patience = 5)
  part("installs")(
    own[[1L]],
    begins = function() quietly(installing(TRUE)),
    ends = function(called) {
      quietly(tell(list(called)))
      quietly(installing(FALSE))
    }
  )
  told <- list(at = -Inf, text = "")
  progress <- function(text) {
    now <- proc.time()[["elapsed"]]
    if (identical(text, told$text) || now - told$at < 1) return()
    told <<- list(at = now, text = text)
    kernel$executor$stream(paste0(text, "\n"), "stderr")
  }
  began <- getwd() # where the notebook lies: a cell may go elsewhere
  context <- function() list(count = cell()$count, cwd = began, modules = loaded())
  offered <- part("verbs")(line$ask, line$data, context, progress)
  attach(offered, pos = length(search()), name = "venvoy", warn.conflicts = FALSE)

  # ---- the user's start-up files, as R itself finds them; an error in them must not be the end of the kernel

  # We were started without them, which R's start script says to all that is started here, too.
  given <- Sys.getenv("VENVOY_R_PROFILE", NA)
  Sys.unsetenv("VENVOY_R_PROFILE")
  if (!nzchar(Sys.getenv("R_PROFILE_USER"))) {
    if (is.na(given)) Sys.unsetenv("R_PROFILE_USER") else Sys.setenv(R_PROFILE_USER = given)
  }
  profile <- Sys.getenv("R_PROFILE_USER", NA)
  if (is.na(profile)) profile <- c(".Rprofile", path.expand("~/.Rprofile"))
  profile <- profile[nzchar(profile) & file.exists(profile)]
  if (length(profile)) {
    tryCatch(
      {
        sys.source(profile[[1L]], envir = globalenv())
        if (exists(".First", globalenv(), mode = "function", inherits = FALSE)) get(".First", globalenv())()
      },
      error = function(e) {
        waiting <<- c(waiting, sprintf("venvoy: an error in %s: %s", normalizePath(profile[[1L]]), conditionMessage(e)))
      }
    )
    kept <- getOption("venvoy.repos")
    if (!is.null(kept) && !identical(getOption("repos"), kept)) {
      options(repos = kept)
      waiting <- c(waiting, sprintf(
        "venvoy: this environment keeps to %s, whatever start-up files say of repos", paste(kept, collapse = ", ")
      ))
    }
    if (!identical(.libPaths(), own)) {
      other <- setdiff(.libPaths(), normalizePath(own))
      libraries(own)
      waiting <- c(waiting, sprintf(
        "venvoy: %s names other libraries (%s); this kernel sees those of its environment alone",
        normalizePath(profile[[1L]]), paste(other, collapse = ", ")
      ))
    }
  }
  word <- file.path(session, "word")
  if (file.exists(word)) {
    waiting <- c(readLines(word, warn = FALSE), waiting)
    unlink(word)
  }

  kernel <- get("Kernel", asNamespace("IRkernel"))$new(connection_file = connection)
  file.create(file.path(session, "ready"))
  suspendInterrupts(kernel$run())
})
