;;; aix-lsp-options.el --- What the user set, as the server wants it  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Only what was set is sent.  A default that was sent would override the
;; user's own file for the server, and its environment.

;;; Code:

(require 'cl-lib)
(require 'aix-lsp-settings)

(defun aix-lsp-options--set-p (symbol value)
  "Whether the user gave SYMBOL its VALUE."
  (or (get symbol 'saved-value)
      (get symbol 'customized-value)
      (not (equal value (eval (car (get symbol 'standard-value)) t)))))

(defun aix-lsp-options--json (value kind)
  "VALUE of an option of KIND, as JSON is made from it."
  (pcase kind
    ('boolean (if value t :json-false))
    ('strings (vconcat value))
    (_ value)))

(defun aix-lsp-options-collect (scopes &optional buffer)
  "The options that were set, of SCOPES, by section: ready to become JSON.
SCOPES is a list of the symbols machine, window and resource.  In BUFFER
those of scope resource may have values of its own (directory variables);
the others never come from there."
  (let ((sections (make-hash-table :test #'equal)))
    (pcase-dolist (`(,symbol ,name ,scope ,kind . ,_) aix-lsp-settings-options)
      (when (memq scope scopes)
        (let* ((own (and (eq scope 'resource) (buffer-live-p buffer)))
               (value (if own (buffer-local-value symbol buffer) (default-value symbol))))
          (when (aix-lsp-options--set-p symbol value)
            (pcase-let ((`(,section ,option) (split-string name "\\.")))
              (puthash option
                       (aix-lsp-options--json value kind)
                       (or (gethash section sections)
                           (puthash section (make-hash-table :test #'equal) sections))))))))
    sections))

(defun aix-lsp-options-restart-p (symbol)
  "Whether a change of SYMBOL needs a restart of the server."
  (nth 4 (assq symbol aix-lsp-settings-options)))

(defun aix-lsp-options-watch (function)
  "Call FUNCTION with an option's symbol after each change of one."
  (pcase-dolist (`(,symbol . ,_) aix-lsp-settings-options)
    (add-variable-watcher
     symbol
     (lambda (symbol new operation buffer)
       (when (and (eq operation 'set)
                  (not (equal new (symbol-value symbol)))
                  ;; what a buffer says of other options is never sent
                  (or (not buffer) (eq (nth 2 (assq symbol aix-lsp-settings-options)) 'resource)))
         (run-at-time 0 nil function symbol))))))

(provide 'aix-lsp-options)
;;; aix-lsp-options.el ends here
