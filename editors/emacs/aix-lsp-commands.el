;;; aix-lsp-commands.el --- The server's state and switches  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; What the mode line tells, and the commands that are about the server
;; and not about an offer.

;;; Code:

(require 'cl-lib)
(require 'aix-lsp-backend)
(require 'aix-lsp-options)
(require 'aix-lsp-server)

(defvar aix-lsp-commands--status nil "What each backend's server tells of itself: (BACKEND . PLIST).")

(defun aix-lsp-commands-told (backend status)
  "The server of BACKEND tells its STATUS, the params of `aix/status'."
  (setf (alist-get backend aix-lsp-commands--status) status)
  (force-mode-line-update t))

(setq aix-lsp-server-status-function (lambda (status) (aix-lsp-commands-told 'own status)))

(defun aix-lsp-commands--status ()
  "What this buffer's server tells of itself, or nil."
  (alist-get aix-lsp-backend aix-lsp-commands--status))

;;;; Mode line

(defvar-keymap aix-lsp-commands--mode-line-map
  :doc "Keys on the mode line."
  "<mode-line> <mouse-1>" #'aix-lsp-status)

(defun aix-lsp--lighter ()
  "What the mode line shows: \" aix\" and, where it is not ready, how it is."
  (let* ((status (aix-lsp-commands--status))
         (state (plist-get status :state))
         (latency (plist-get status :latencyMs)))
    (propertize
     (pcase state
       ((or "ready" "busy") " aix")
       ("loading" " aix…")
       ("indexing" " aix+")
       ("degraded" " aix?")
       ("failed" " aix!")
       ((or "off" "paused") (concat " aix:" state))
       (_ " aix-"))
     'face (if (equal state "failed") 'error 'mode-line-emphasis)
     'mouse-face 'mode-line-highlight
     'local-map aix-lsp-commands--mode-line-map
     'help-echo (concat "aix-lsp: " (aix-lsp-commands--line status)
                        (if latency (format "; latest offer %.0f ms" latency) "")
                        "\nmouse-1: status"))))

(defun aix-lsp-commands--line (status)
  "STATUS in one line."
  (let ((state (plist-get status :state))
        (told (plist-get status :message)))
    (cond ((not state) "no server")
          ((or (not told) (string-empty-p told)) state)
          (t (format "%s: %s" state told)))))

;;;; Commands

(defun aix-lsp-status ()
  "Say what the server is doing."
  (interactive)
  (message "aix: %s" (aix-lsp-commands--line (aix-lsp-commands--status))))

(defun aix-lsp-commands--execute (command arguments answered)
  "Let this buffer's server execute COMMAND with ARGUMENTS, a vector.
ANSWERED takes the result.  It is called in this buffer, wherever the
user is by then, and not at all when the buffer is gone."
  (if (aix-lsp-backend-ready-p aix-lsp-backend)
      (let ((buffer (current-buffer)))
        (aix-lsp-backend-execute aix-lsp-backend command arguments
                                 (lambda (result)
                                   (when (buffer-live-p buffer)
                                     (with-current-buffer buffer (funcall answered result))))))
    (user-error "No server of aix-lsp for this buffer: %s"
                (or (aix-lsp-server-refused) (aix-lsp-commands--line (aix-lsp-commands--status))))))

(defun aix-lsp-toggle ()
  "Switch offers off, or on again, in all files."
  (interactive)
  (aix-lsp-commands--execute "aix.toggle" [] #'aix-lsp-commands--switched))

(defun aix-lsp-toggle-language ()
  "Switch offers off, or on again, in this buffer's language."
  (interactive)
  (aix-lsp-commands--execute "aix.toggle" (vector (aix-lsp-document-language major-mode))
                             #'aix-lsp-commands--switched))

(defun aix-lsp-pause (&optional minutes)
  "Offer nothing for MINUTES (half an hour); once more goes on.
Interactively, a prefix argument is the minutes."
  (interactive "P")
  (aix-lsp-commands--execute "aix.pause" (if minutes (vector (prefix-numeric-value minutes)) [])
                             #'aix-lsp-commands--switched))

(defun aix-lsp-commands--switched (_state)
  "Something was switched: say how it is now."
  (aix-lsp-commands--execute
   "aix.status" []
   (lambda (answer)
     (aix-lsp-commands-told aix-lsp-backend (plist-get answer :status))
     (aix-lsp-status))))

(defun aix-lsp-inspect (&optional number)
  "Show why the latest requests, or request NUMBER, were answered so.
The page holds parts of your files."
  (interactive "P")
  (aix-lsp-commands--execute "aix.inspect" (if number (vector (prefix-numeric-value number)) []) #'ignore))

(defun aix-lsp-restart ()
  "Start the server anew, for instance after a change of its settings."
  (interactive)
  (aix-lsp-backend-restart aix-lsp-backend))

(defun aix-lsp-show-log ()
  "Show what the server wrote."
  (interactive)
  (pop-to-buffer (get-buffer-create "*aix-lsp log*")))

(defun aix-lsp-change-model ()
  "Choose the model that answers; the server starts anew."
  (interactive)
  (aix-lsp-commands--execute
   "aix.models" []
   (lambda (answer)
     ;; reading from the minibuffer must not hold up the server's other messages
     (run-at-time 0 nil #'aix-lsp-commands--choose (current-buffer) answer))))

(defconst aix-lsp-commands--note-width 110 "Columns for what is told of a model in the list to choose from.")

(defun aix-lsp-commands--choose (buffer answer)
  "Let the user choose among the models of ANSWER for the server of BUFFER."
  (let* ((models (append (plist-get answer :models) nil))
         (notes (mapcar (lambda (model) (cons (plist-get model :name) (aix-lsp-commands--note model answer))) models))
         (completion-extra-properties
          (list :annotation-function (lambda (name) (concat "  " (alist-get name notes "" nil #'equal)))))
         (name (completing-read (format-prompt "Model" (plist-get answer :current))
                                (cons "auto" (mapcar #'car notes)) nil nil nil nil (plist-get answer :current))))
    (customize-set-variable 'aix-lsp-model-name name)
    (when (buffer-live-p buffer)
      (with-current-buffer buffer (aix-lsp-restart)))
    (message "aix: %s from now on in this session; M-x customize-save-variable aix-lsp-model-name keeps it" name)))

(defun aix-lsp-commands--note (model answer)
  "What is to be known of MODEL before it is chosen; ANSWER says which one is there now."
  (truncate-string-to-width
   (string-join
    (delq nil (list (and (equal (plist-get model :name) (plist-get answer :current)) "answers now")
                    (aix-lsp-commands--size (plist-get model :parameters))
                    ;; of the licence its name
                    (replace-regexp-in-string "\\(?:[.:;] \\|\\.\\'\\)\\(?:.\\|\n\\)*" "" (or (plist-get model :licence) ""))
                    (unless (eq (plist-get model :commercial) t) "not for commercial use")
                    (unless (eq (plist-get model :onDisk) t) "not downloaded")
                    (unless (eq (plist-get model :fits) t) "does not fit")
                    (let ((note (plist-get model :note)))
                      (and (stringp note) (not (string-empty-p note)) note))))
    ", ")
   aix-lsp-commands--note-width nil nil t))

(defun aix-lsp-commands--size (parameters)
  "The number of PARAMETERS as one says it, or nil where it is not known."
  (when (and (numberp parameters) (> parameters 0))
    (if (< parameters 1e9)
        (format "%.0fM" (/ parameters 1e6))
      (format "%.1fB" (/ parameters 1e9)))))

(defun aix-lsp-commands--option-changed (symbol)
  "The option SYMBOL has a new value."
  (if (aix-lsp-options-restart-p symbol)
      (message "aix: %s takes effect after M-x aix-lsp-restart" symbol)
    (aix-lsp-server-configuration-changed)))

(aix-lsp-options-watch #'aix-lsp-commands--option-changed)

(provide 'aix-lsp-commands)
;;; aix-lsp-commands.el ends here
