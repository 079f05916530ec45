;;; aix-lsp-lsp-mode.el --- Offers from a server that lsp-mode runs  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; Registers aix-lsp with lsp-mode 10 as a server beside the language's
;; own.  Offers look and are taken as without lsp-mode; set
;; `aix-lsp-lsp-mode-interface' for lsp-mode's own way of showing them.

;;; Code:

(require 'cl-lib)
(require 'lsp-mode)
(require 'aix-lsp)

(defvar lsp-inline-completion-idle-delay)
(declare-function lsp-inline-completion-mode "ext:lsp-inline-completion")
(declare-function lsp--flush-delayed-changes "ext:lsp-mode")

(defcustom aix-lsp-lsp-mode-interface 'ghost
  "What shows an offer in buffers of lsp-mode.
`ghost': `aix-lsp-mode', which follows what is typed into an offer and
takes words and lines of it.  `lsp-mode': `lsp-inline-completion-mode',
which asks anew at each pause."
  :type '(choice (const :tag "This package" ghost) (const :tag "lsp-mode" lsp-mode))
  :group 'aix-lsp)

(defcustom aix-lsp-lsp-mode-idle-delay 0.2
  "Seconds without a key before an offer is asked for in buffers of lsp-mode.
The server leaves it to lsp-mode to wait for the end of typing.  A delay
that was set for `lsp-inline-completion-mode' stays."
  :type 'number
  :group 'aix-lsp)

(defcustom aix-lsp-lsp-mode-modes '(prog-mode conf-mode sgml-mode)
  "Major modes whose buffers the server is for, those derived from them included."
  :type '(repeat symbol)
  :group 'aix-lsp)

(defun aix-lsp-lsp-mode--wanted-p (file mode)
  "Whether the server is for FILE in MODE."
  (and file (provided-mode-derived-p mode aix-lsp-lsp-mode-modes)))

(defun aix-lsp-lsp-mode--workspace ()
  "The workspace of aix-lsp in this buffer, or nil."
  (cl-find 'aix (lsp-workspaces)
           :key (lambda (workspace) (lsp--client-server-id (lsp--workspace-client workspace)))))

(defun aix-lsp-lsp-mode--opened ()
  "The server has this buffer: show its offers."
  (if (eq aix-lsp-lsp-mode-interface 'lsp-mode)
      (progn
        (unless (aix-lsp-options--set-p 'lsp-inline-completion-idle-delay lsp-inline-completion-idle-delay)
          (setq-local lsp-inline-completion-idle-delay aix-lsp-lsp-mode-idle-delay))
        (lsp-inline-completion-mode 1))
    ;; two ghosts would stand beside each other
    (when (fboundp 'lsp-inline-completion-mode) (lsp-inline-completion-mode -1))
    (setq-local aix-lsp-idle-delay (max aix-lsp-idle-delay aix-lsp-lsp-mode-idle-delay))
    (aix-lsp-use-backend 'lsp-mode)))

(defun aix-lsp-lsp-mode--configured ()
  "Buffers with a ghost of this package have none of lsp-mode's."
  (when (and (eq aix-lsp-lsp-mode-interface 'ghost) (aix-lsp-lsp-mode--workspace))
    (lsp-inline-completion-mode -1)))

(defun aix-lsp-lsp-mode--changed ()
  "In this buffer lsp-mode begins, ends or restarts: look when it is done."
  (run-at-time 0 nil #'aix-lsp-lsp-mode--look (current-buffer)))

(defun aix-lsp-lsp-mode--look (buffer)
  "Offer in BUFFER or not, as lsp-mode is there now."
  (when (buffer-live-p buffer)
    (with-current-buffer buffer
      (cond ((aix-lsp-lsp-mode--workspace) (aix-lsp-lsp-mode--opened))
            ((eq aix-lsp-backend 'lsp-mode)
             (aix-lsp-mode -1)
             (kill-local-variable 'aix-lsp-backend)
             (when aix-lsp-global-mode (aix-lsp-mode 1)))))))

(lsp-register-client
 (make-lsp-client
  :server-id 'aix
  :add-on? t
  :multi-root t
  :priority -2
  :new-connection (lsp-stdio-connection (lambda () aix-lsp-server-command))
  :activation-fn #'aix-lsp-lsp-mode--wanted-p
  :custom-capabilities '((experimental . ((aix . ((status . t))))))
  :initialization-options (lambda () (aix-lsp-options-collect '(machine window resource)))
  :notification-handlers
  (let ((handlers (make-hash-table :test #'equal)))
    (puthash "aix/status"
             (lambda (_workspace status)
               (aix-lsp-commands-told 'lsp-mode (aix-lsp-lsp-mode--plist status)))
             handlers)
    handlers)))

(add-hook 'lsp-after-open-hook #'aix-lsp-lsp-mode--changed)
(add-hook 'lsp-configure-hook #'aix-lsp-lsp-mode--configured 90)
(add-hook 'lsp-unconfigure-hook #'aix-lsp-lsp-mode--changed)

(defun aix-lsp-lsp-mode--plist (value)
  "VALUE as lsp-mode reads JSON, with property lists for objects.
It reads them as hash tables, or property lists where it was built so."
  (cond ((hash-table-p value)
         (let (found)
           (maphash (lambda (key item)
                      (setq found (nconc (list (intern (concat ":" key)) (aix-lsp-lsp-mode--plist item)) found)))
                    value)
           found))
        ((vectorp value) (vconcat (mapcar #'aix-lsp-lsp-mode--plist value)))
        ((and (consp value) (not (keywordp (car value)))) (mapcar #'aix-lsp-lsp-mode--plist value))
        (t value)))

;;;; The backend

(cl-defmethod aix-lsp-backend-ready-p ((_backend (eql lsp-mode)))
  "Whether lsp-mode's server is there."
  (when-let* ((workspace (aix-lsp-lsp-mode--workspace)))
    (eq (lsp--workspace-status workspace) 'initialized)))

(cl-defmethod aix-lsp-backend-ask ((_backend (eql lsp-mode)) explicit answered)
  "Ask for offers; EXPLICIT and ANSWERED as in the generic function."
  (let ((buffer (current-buffer))
        (token (gensym "aix-lsp-")))
    (with-lsp-workspace (aix-lsp-lsp-mode--workspace)
      (lsp-request-async
       "textDocument/inlineCompletion"
       (append (lsp--text-document-position-params)
               (list :context (list :triggerKind (if explicit 1 2))))
       (lambda (answer)
         (when (buffer-live-p buffer)
           (with-current-buffer buffer
             (funcall answered (plist-get (aix-lsp-lsp-mode--plist answer) :items)))))
       :mode 'detached
       :error-handler #'ignore
       :cancel-token token))
    token))

(cl-defmethod aix-lsp-backend-cancel ((_backend (eql lsp-mode)) request)
  "Cancel REQUEST."
  (lsp-cancel-request-by-token request))

(cl-defmethod aix-lsp-backend-execute ((_backend (eql lsp-mode)) command arguments answered)
  "Execute COMMAND with ARGUMENTS; ANSWERED is called with the result."
  (when-let* ((workspace (aix-lsp-lsp-mode--workspace)))
    (with-lsp-workspace workspace
      (lsp-request-async "workspace/executeCommand"
                         (list :command command :arguments arguments)
                         (lambda (answer) (funcall answered (aix-lsp-lsp-mode--plist answer)))
                         :mode 'detached
                         :error-handler (lambda (problem)
                                          (message "aix: %s" (plist-get (aix-lsp-lsp-mode--plist problem) :message)))))))

(cl-defmethod aix-lsp-backend-point ((_backend (eql lsp-mode)) position)
  "The place of POSITION."
  (lsp--line-character-to-point (plist-get position :line) (plist-get position :character)))

(cl-defmethod aix-lsp-backend-restart ((_backend (eql lsp-mode)))
  "Let lsp-mode start the server anew."
  (if-let* ((workspace (aix-lsp-lsp-mode--workspace)))
      (lsp-workspace-restart workspace)
    (lsp)))

(provide 'aix-lsp-lsp-mode)
;;; aix-lsp-lsp-mode.el ends here
