;;; aix-lsp-document.el --- Buffers as the server knows them  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Each change of a buffer is noted as it happens, with its places as they
;; were before it, and sent before the next request or after a pause.  What
;; cannot be told as a change (hooks that contradict each other, a great
;; many changes) is told by sending the whole text.

;;; Code:

(require 'cl-lib)
(require 'project)
(require 'aix-lsp-position)
(require 'aix-lsp-server)

(defconst aix-lsp-document--most 100 "More changes than these are sent as the whole text.")
(defconst aix-lsp-document--pause 0.5 "Seconds of idleness after which changes are sent anyway.")

(defconst aix-lsp-document--languages
  '(("bash-ts" . "shellscript") ("c++" . "cpp") ("c++-ts" . "cpp") ("cuda" . "cuda-cpp") ("emacs-lisp" . "elisp")
    ("lisp-interaction" . "elisp") ("js" . "javascript") ("js2" . "javascript") ("js-jsx" . "javascriptreact")
    ("rjsx" . "javascriptreact") ("mhtml" . "html") ("web" . "html") ("sh" . "shellscript") ("csharp-ts" . "csharp")
    ("objc" . "objective-c") ("tsx-ts" . "typescriptreact") ("typescript-tsx" . "typescriptreact")
    ("conf-toml" . "toml") ("tuareg" . "ocaml") ("enh-ruby" . "ruby") ("cperl" . "perl") ("ess-r" . "r")
    ("nxml" . "xml") ("makefile-gmake" . "makefile") ("makefile-bsdmake" . "makefile") ("f90" . "fortran")
    ("latex" . "latex") ("LaTeX" . "latex") ("protobuf" . "proto") ("gfm" . "markdown") ("fundamental" . "plaintext")
    ("text" . "plaintext") ("js-json" . "json") ("jsonian" . "json") ("go-mod-ts" . "go.mod"))
  "The protocol's identifiers of major modes whose names are others, without \"-mode\".")

(cl-defstruct (aix-lsp-document (:copier nil))
  "What the server knows of a buffer.
CHANGES are those that are still to be told, the latest first; FULL is
non-nil when the whole text is to be told instead; BEFORE is of a change
that is being made; TICK is the buffer's own count of changes after the
latest that was noted."
  uri (version 0) (open nil) changes full before (tick 0) timer)

(defvar-local aix-lsp-document--here nil "This buffer's document.")
(defvar aix-lsp-document--buffers nil "All buffers with a document.")

(defun aix-lsp-document-language (mode)
  "The protocol's identifier of the language of MODE, a major mode's symbol."
  (let ((name (string-remove-suffix "-mode" (symbol-name mode))))
    (or (cdr (assoc name aix-lsp-document--languages))
        (downcase (string-remove-suffix "-ts" name)))))

(defun aix-lsp-document-possible-p ()
  "Whether this buffer can be told to a server on this machine."
  (and buffer-file-name
       enable-multibyte-characters
       (not (file-remote-p buffer-file-name))
       (not (buffer-base-buffer))))

(defun aix-lsp-document-attach ()
  "Tell the server of this buffer from now on, starting it if need be."
  (unless aix-lsp-document--here
    (setq aix-lsp-document--here (make-aix-lsp-document :uri (aix-lsp-position-uri buffer-file-name)))
    (push (current-buffer) aix-lsp-document--buffers)
    (add-hook 'before-change-functions #'aix-lsp-document--before nil t)
    (add-hook 'after-change-functions #'aix-lsp-document--after nil t)
    (add-hook 'after-save-hook #'aix-lsp-document--saved nil t)
    (add-hook 'after-set-visited-file-name-hook #'aix-lsp-document--renamed nil t)
    (when-let* ((project (project-current)))
      (aix-lsp-server-add-folder (expand-file-name (project-root project))))
    (aix-lsp-server-start)
    (aix-lsp-document--open)))

(defun aix-lsp-document-detach ()
  "Tell the server no more of this buffer."
  (when aix-lsp-document--here
    (when-let* ((timer (aix-lsp-document-timer aix-lsp-document--here)))
      (cancel-timer timer))
    (when (aix-lsp-document-open aix-lsp-document--here)
      (aix-lsp-server-notify :textDocument/didClose (list :textDocument (aix-lsp-document-identifier))))
    (setq aix-lsp-document--buffers (delq (current-buffer) aix-lsp-document--buffers))
    (aix-lsp-document-disown)))

(defun aix-lsp-document-disown ()
  "This buffer has nothing to do with its document any more.
The server is not told: another buffer may have the same document."
  (remove-hook 'before-change-functions #'aix-lsp-document--before t)
  (remove-hook 'after-change-functions #'aix-lsp-document--after t)
  (remove-hook 'after-save-hook #'aix-lsp-document--saved t)
  (remove-hook 'after-set-visited-file-name-hook #'aix-lsp-document--renamed t)
  (setq aix-lsp-document--here nil))

(defun aix-lsp-document-identifier ()
  "This buffer's document as a request names it."
  (list :uri (aix-lsp-document-uri aix-lsp-document--here)))

(defun aix-lsp-document-open-p ()
  "Whether the server has this buffer."
  (and aix-lsp-document--here
       (aix-lsp-document-open aix-lsp-document--here)
       (aix-lsp-server-ready-p)))

(defun aix-lsp-document--text ()
  "The whole text of this buffer."
  (save-restriction
    (widen)
    (aix-lsp-position-text (point-min) (point-max))))

(defun aix-lsp-document--open ()
  "Give the server this buffer, if there is a server."
  (when (aix-lsp-server-ready-p)
    (let ((document aix-lsp-document--here))
      (aix-lsp-document--told document)
      (setf (aix-lsp-document-open document) t)
      (aix-lsp-server-notify
       :textDocument/didOpen
       (list :textDocument
             (list :uri (aix-lsp-document-uri document)
                   :languageId (aix-lsp-document-language major-mode)
                   :version (aix-lsp-document-version document)
                   :text (aix-lsp-document--text)))))))

(defun aix-lsp-document--told (document)
  "DOCUMENT, of this buffer, is told as it is now."
  (setf (aix-lsp-document-changes document) nil
        (aix-lsp-document-full document) nil
        (aix-lsp-document-before document) nil
        (aix-lsp-document-tick document) (buffer-chars-modified-tick)))

(defun aix-lsp-document--renamed ()
  "The buffer visits another file."
  (let ((mode-wanted (aix-lsp-document-possible-p)))
    (aix-lsp-document-detach)
    (when mode-wanted (aix-lsp-document-attach))))

(defun aix-lsp-document--saved ()
  "The buffer was saved."
  (when (aix-lsp-document-open-p)
    (aix-lsp-document-flush)
    (aix-lsp-server-notify :textDocument/didSave (list :textDocument (aix-lsp-document-identifier)))))

;;;; Changes

(defun aix-lsp-document--missed-p (document)
  "Whether this buffer, of DOCUMENT, was changed without its hooks being told.
Hooks are inhibited at times, and an indirect buffer has its own."
  (/= (aix-lsp-document-tick document) (buffer-chars-modified-tick)))

(defun aix-lsp-document--before (beg end)
  "The text from BEG to END is about to change: note where that is for the server."
  (let ((document aix-lsp-document--here))
    (when (and (aix-lsp-document-open-p) (not (aix-lsp-document-full document)))
      (if (aix-lsp-document--missed-p document)
          (setf (aix-lsp-document-full document) t)
        (let ((encoding (aix-lsp-server-encoding)))
          (setf (aix-lsp-document-before document)
                (list beg end (aix-lsp-position-at beg encoding) (aix-lsp-position-at end encoding))))))))

(defun aix-lsp-document--after (beg end length)
  "The text from BEG to END has taken the place of LENGTH characters."
  (let ((document aix-lsp-document--here))
    (when (aix-lsp-document-open-p)
      (pcase-let ((`(,old-beg ,old-end ,from ,to) (aix-lsp-document-before document)))
        (setf (aix-lsp-document-before document) nil
              (aix-lsp-document-tick document) (buffer-chars-modified-tick))
        (when from (aix-lsp-position-changed beg end))
        (if (and from to (= old-beg beg) (= (- old-end old-beg) length)
                 (< (length (aix-lsp-document-changes document)) aix-lsp-document--most)
                 ;; what is joined to a carriage return beside it changes the lines themselves
                 (not (eq (char-before beg) ?\r))
                 (not (and (eq (char-after end) ?\n) (eq (char-before end) ?\r))))
            (push (list :range (list :start from :end to)
                        :text (aix-lsp-position-text beg end))
                  (aix-lsp-document-changes document))
          (setf (aix-lsp-document-changes document) nil
                (aix-lsp-document-full document) t)))
      (aix-lsp-document--later document))))

(defun aix-lsp-document--later (document)
  "Tell the changes of DOCUMENT after a pause."
  (unless (aix-lsp-document-timer document)
    (setf (aix-lsp-document-timer document)
          (run-with-idle-timer
           aix-lsp-document--pause nil
           (lambda (buffer)
             (setf (aix-lsp-document-timer document) nil)
             (when (buffer-live-p buffer)
               (with-current-buffer buffer
                 (when (eq document aix-lsp-document--here)
                   (aix-lsp-document-flush)))))
           (current-buffer)))))

(defun aix-lsp-document-flush ()
  "Tell the server what has changed in this buffer."
  (when (aix-lsp-document-open-p)
    (let* ((document aix-lsp-document--here)
           (full (or (aix-lsp-document-full document) (aix-lsp-document--missed-p document)))
           (changes (reverse (aix-lsp-document-changes document))))
      (when (or full changes)
        (cl-incf (aix-lsp-document-version document))
        (aix-lsp-document--told document)
        (aix-lsp-server-notify
         :textDocument/didChange
         (list :textDocument (list :uri (aix-lsp-document-uri document)
                                   :version (aix-lsp-document-version document))
               :contentChanges (if full
                                   (vector (list :text (aix-lsp-document--text)))
                                 (vconcat changes))))))))

;;;; With the server

(defun aix-lsp-document--ready ()
  "A server is there: give it all buffers."
  (dolist (buffer aix-lsp-document--buffers)
    (when (buffer-live-p buffer)
      (with-current-buffer buffer
        (aix-lsp-document--open)))))

(defun aix-lsp-document--gone ()
  "The server is gone, and with it what it knew."
  (dolist (buffer aix-lsp-document--buffers)
    (when (buffer-live-p buffer)
      (setf (aix-lsp-document-open (buffer-local-value 'aix-lsp-document--here buffer)) nil))))

(defun aix-lsp-document--of-folder (uri)
  "A buffer whose file is in the folder that URI names, or nil."
  (when-let* ((folder (and uri (aix-lsp-position-file uri))))
    (cl-find-if (lambda (buffer)
                  (when-let* ((file (and (buffer-live-p buffer) (buffer-file-name buffer))))
                    (string-prefix-p (file-name-as-directory folder) (expand-file-name file))))
                aix-lsp-document--buffers)))

(add-hook 'aix-lsp-server-ready-hook #'aix-lsp-document--ready)
(add-hook 'aix-lsp-server-gone-hook #'aix-lsp-document--gone)
(setq aix-lsp-server-configuration-function #'aix-lsp-document--of-folder)

(provide 'aix-lsp-document)
;;; aix-lsp-document.el ends here
