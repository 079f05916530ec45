;;; aix-lsp.el --- Code completions from a model on your own machine  -*- lexical-binding: t; -*-

;; Copyright (C) 2026 The aix-lsp authors

;; Version: 0.1.0
;; Package-Requires: ((emacs "29.1"))
;; Keywords: convenience, languages, tools
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; `aix-lsp-global-mode' starts the language server aix-lsp and shows what
;; it offers as grey text at point, beside eglot, lsp-mode or nothing.
;; `aix-lsp-ghost-map' holds the keys that are active while an offer is
;; shown.  aix-lsp-eglot.el and aix-lsp-lsp-mode.el let those packages run
;; the server instead.

;;; Code:

(require 'cl-lib)
(require 'aix-lsp-backend)
(require 'aix-lsp-document)
(require 'aix-lsp-ghost)
(require 'aix-lsp-options)
(require 'aix-lsp-server)

(defcustom aix-lsp-idle-delay 0.05
  "Seconds without a key before an offer is asked for.
The server itself waits longer for somebody who types fast."
  :type 'number
  :group 'aix-lsp)

(defcustom aix-lsp-automatic t
  "Whether offers appear while typing.
If nil, they are shown when `aix-lsp-complete' asks for them."
  :type 'boolean
  :group 'aix-lsp)

(defcustom aix-lsp-accept-with-tab nil
  "Whether the key TAB takes an offer while one is shown."
  :type 'boolean
  :group 'aix-lsp
  :initialize #'custom-initialize-default
  :set (lambda (symbol value)
         (set-default symbol value)
         (aix-lsp--bind-tab)))

(defcustom aix-lsp-inhibit-functions '(aix-lsp-popup-preview-p aix-lsp-not-inserting-p)
  "Functions without arguments; nothing is asked while one of them returns non-nil.
They are not called for `aix-lsp-complete'."
  :type 'hook
  :group 'aix-lsp)

(defconst aix-lsp--silent-commands
  '( undo undo-only undo-redo undo-tree-undo undo-tree-redo undo-fu-only-undo undo-fu-only-redo
     evil-undo evil-redo revert-buffer aix-lsp-dismiss)
  "Commands after which nothing is asked, though they may change the buffer.")

;;;; Keys

(defun aix-lsp--if-several (command)
  "A key of COMMAND that is there while there are several offers; with one alone it is left to others."
  `(menu-item "" ,command :filter ,(lambda (command) (and (aix-lsp-ghost-several-p) command))))

(defvar-keymap aix-lsp-ghost-map
  :doc "Keys that are active while an offer is shown."
  "M-RET" #'aix-lsp-accept
  "M-<return>" #'aix-lsp-accept
  "M-<right>" #'aix-lsp-accept-word
  "M-<down>" #'aix-lsp-accept-line
  "M-n" (aix-lsp--if-several #'aix-lsp-next)
  "M-p" (aix-lsp--if-several #'aix-lsp-previous)
  "C-g" #'aix-lsp-dismiss)

(defvar-keymap aix-lsp-mode-map
  :doc "Keys of `aix-lsp-mode'; empty, so that it takes none from anybody.")

(defvar aix-lsp--emulation-alist (list (cons 'aix-lsp-ghost--shown aix-lsp-ghost-map))
  "Puts `aix-lsp-ghost-map' before the keys of other modes.")

(add-to-list 'emulation-mode-map-alists 'aix-lsp--emulation-alist)

(defun aix-lsp--bind-tab ()
  "Let TAB be what `aix-lsp-accept-with-tab' says."
  (dolist (key '("TAB" "<tab>"))
    (if aix-lsp-accept-with-tab
        (keymap-set aix-lsp-ghost-map key #'aix-lsp-accept)
      (keymap-unset aix-lsp-ghost-map key t))))

(aix-lsp--bind-tab)

;;;; Asking

(defvar aix-lsp-mode)

(defvar-local aix-lsp--edited nil "Whether the command of now changed the buffer.")
(defvar-local aix-lsp--request nil "The request that is not answered yet.")
(defvar-local aix-lsp--asked nil "The place and the tick of the buffer at the latest request.")
(defvar-local aix-lsp--timer nil "The timer that asks.")

(defun aix-lsp-popup-preview-p ()
  "Whether a completion popup shows a preview where an offer would be."
  (and (boundp 'company-preview-overlay)
       (overlayp (symbol-value 'company-preview-overlay))))

(defun aix-lsp-not-inserting-p ()
  "Whether evil or meow is there and keys are not text now, or go to several places."
  (or (and (bound-and-true-p evil-local-mode)
           (not (memq (bound-and-true-p evil-state) '(insert emacs))))
      (bound-and-true-p meow-normal-mode)
      (bound-and-true-p multiple-cursors-mode)))

(defun aix-lsp--inhibited-p ()
  "Whether one of `aix-lsp-inhibit-functions' says that nothing is to be offered."
  (run-hook-with-args-until-success 'aix-lsp-inhibit-functions))

(defun aix-lsp--here ()
  "What must not change until an answer comes."
  (list (point) (buffer-chars-modified-tick)))

(defun aix-lsp--forget ()
  "Ask nothing any more, and take no answer."
  (when aix-lsp--timer
    (cancel-timer aix-lsp--timer)
    (setq aix-lsp--timer nil))
  (when aix-lsp--request
    (aix-lsp-backend-cancel aix-lsp-backend aix-lsp--request)
    (setq aix-lsp--request nil))
  (setq aix-lsp--asked nil))

(defun aix-lsp--may-ask-p ()
  "Whether something may be offered after the command of now."
  (and aix-lsp-automatic
       (not buffer-read-only)
       (not executing-kbd-macro)
       (not (region-active-p))
       (not (memq this-command aix-lsp--silent-commands))
       (eq (current-buffer) (window-buffer))
       (not (aix-lsp--inhibited-p))))

(defun aix-lsp--pre-command ()
  "A command begins."
  (setq aix-lsp--edited nil))

(defun aix-lsp--changed (&rest _)
  "The buffer was changed."
  (setq aix-lsp--edited t))

(defun aix-lsp--post-command ()
  "A command has ended: follow what was typed, or ask anew.
Nothing may go wrong out of here: Emacs would never call it again."
  (with-demoted-errors "aix: %S"
    (aix-lsp--follow-or-ask))
  (setq aix-lsp--edited nil))

(defun aix-lsp--follow-or-ask ()
  "Follow what was typed, or ask anew."
  (when (and aix-lsp-ghost--shown (aix-lsp-not-inserting-p))
    (aix-lsp-ghost-hide))
  (let ((followed (aix-lsp-ghost-follow)))
    (cond ((eq followed 'kept)
           (when (and aix-lsp--edited aix-lsp--asked) (aix-lsp--forget)))
          ((and (or aix-lsp--edited (eq followed 'whole)) (aix-lsp--may-ask-p))
           (aix-lsp--forget)
           (aix-lsp--ask-soon))
          ((and aix-lsp--asked (not (equal aix-lsp--asked (aix-lsp--here))))
           (aix-lsp--forget)))))

(defun aix-lsp--ask-soon ()
  "Ask when no key has come for a while."
  (let ((here (aix-lsp--here)))
    (setq aix-lsp--asked here
          aix-lsp--timer
          (run-with-idle-timer
           aix-lsp-idle-delay nil
           (lambda (buffer)
             (when (buffer-live-p buffer)
               (with-current-buffer buffer
                 (setq aix-lsp--timer nil)
                 (when (and aix-lsp-mode (equal here (aix-lsp--here)) (eq buffer (window-buffer)))
                   (aix-lsp--ask nil)))))
           (current-buffer)))))

(defun aix-lsp--ask (explicit)
  "Ask for offers at point; EXPLICIT is non-nil if the user does."
  (when (aix-lsp-backend-ready-p aix-lsp-backend)
    (let ((here (aix-lsp--here)))
      (setq aix-lsp--asked here
            aix-lsp--request
            (aix-lsp-backend-ask
             aix-lsp-backend explicit
             (lambda (items)
               ;; an answer for another place or text than that of now comes too late
               (when (and (equal here aix-lsp--asked) (equal here (aix-lsp--here)))
                 (setq aix-lsp--request nil)
                 (aix-lsp--answered items explicit))))))))

(defun aix-lsp--answered (items explicit)
  "ITEMS are offered here; EXPLICIT is non-nil if the user asked for them."
  ;; a popup may have opened since
  (when (and (eq (current-buffer) (window-buffer))
             (or explicit (not (aix-lsp--inhibited-p))))
    (if-let* ((candidates (aix-lsp-backend-candidates items)))
        (aix-lsp-ghost-show candidates #'aix-lsp--accepted)
      (when explicit (aix-lsp--say-why)))))

(defun aix-lsp--accepted (candidate)
  "CANDIDATE was taken: tell the server, which counts."
  (when-let* ((command (aix-lsp-candidate-command candidate)))
    (aix-lsp--execute (plist-get command :command) #'ignore (append (plist-get command :arguments) nil))))

(defun aix-lsp--say-why ()
  "Say why the latest request had no offer."
  (aix-lsp--execute "aix.trace"
                    (lambda (trace)
                      (let ((message-log-max nil))
                        (message "aix: %s" (or (plist-get trace :reason) "nothing to offer here"))))
                    '("summary")))

(defun aix-lsp--execute (command answered &optional arguments)
  "Let the server execute COMMAND with ARGUMENTS, a list; ANSWERED takes the result."
  (aix-lsp-backend-execute aix-lsp-backend command (vconcat arguments) answered))

;;;; Modes

(defun aix-lsp--left (window)
  "WINDOW, of this buffer, may have been left: an offer stands where the keys go."
  (unless (or (eq window (selected-window)) (minibufferp (window-buffer)))
    (aix-lsp-ghost-hide)
    (aix-lsp--forget)))

;;;###autoload
(define-minor-mode aix-lsp-mode
  "Offer code as grey text at point while typing.
While an offer is shown: \\<aix-lsp-ghost-map>\\[aix-lsp-accept] takes it,
\\[aix-lsp-accept-word] a word, \\[aix-lsp-accept-line] a line of it;
\\[aix-lsp-next] and \\[aix-lsp-previous] show another, \\[aix-lsp-dismiss]
none."
  :lighter (:eval (aix-lsp--lighter))
  (if (not aix-lsp-mode)
      (aix-lsp--disable)
    (cond ((and (eq aix-lsp-backend 'own) (not (aix-lsp-document-possible-p)))
           (setq aix-lsp-mode nil)
           (when (called-interactively-p 'any)
             (user-error "Offers are for files on this machine")))
          (t (aix-lsp--enable)))))

(defun aix-lsp--enable ()
  "Begin to offer in this buffer."
  (add-hook 'pre-command-hook #'aix-lsp--pre-command nil t)
  (add-hook 'post-command-hook #'aix-lsp--post-command nil t)
  (add-hook 'after-change-functions #'aix-lsp--changed nil t)
  (add-hook 'window-selection-change-functions #'aix-lsp--left nil t)
  (add-hook 'kill-buffer-hook #'aix-lsp--disable nil t)
  (add-hook 'change-major-mode-hook #'aix-lsp--disable nil t)
  (add-hook 'clone-indirect-buffer-hook #'aix-lsp--cloned nil t)
  (aix-lsp-backend-attach aix-lsp-backend))

(defun aix-lsp--cloned ()
  "This buffer has been made as a copy of another, variables and all, which alone goes on."
  (setq aix-lsp--timer nil
        aix-lsp--request nil)
  (aix-lsp-ghost-disown)
  (aix-lsp-document-disown)
  (aix-lsp-mode -1))

(defun aix-lsp--disable ()
  "Offer nothing more in this buffer."
  (aix-lsp--forget)
  (aix-lsp-ghost-hide)
  (aix-lsp-backend-detach aix-lsp-backend)
  (remove-hook 'pre-command-hook #'aix-lsp--pre-command t)
  (remove-hook 'post-command-hook #'aix-lsp--post-command t)
  (remove-hook 'after-change-functions #'aix-lsp--changed t)
  (remove-hook 'window-selection-change-functions #'aix-lsp--left t)
  (remove-hook 'kill-buffer-hook #'aix-lsp--disable t)
  (remove-hook 'change-major-mode-hook #'aix-lsp--disable t)
  (remove-hook 'clone-indirect-buffer-hook #'aix-lsp--cloned t))

(defun aix-lsp-use-backend (backend)
  "Ask BACKEND in this buffer from now on, with `aix-lsp-mode'."
  (unless (and aix-lsp-mode (eq aix-lsp-backend backend))
    (when aix-lsp-mode (aix-lsp-mode -1))
    (setq aix-lsp-backend backend)
    (aix-lsp-mode 1)))

(defun aix-lsp--turn-on ()
  "Turn `aix-lsp-mode' on where it can be."
  (unless aix-lsp-mode
    (when (aix-lsp-document-possible-p)
      (aix-lsp-mode 1))))

;;;###autoload
(define-globalized-minor-mode aix-lsp-global-mode aix-lsp-mode aix-lsp--turn-on
  :group 'aix-lsp
  :predicate '(prog-mode conf-mode sgml-mode))

;;;; Commands

(defun aix-lsp-complete ()
  "Ask for an offer at point now."
  (interactive)
  (unless aix-lsp-mode (user-error "No `aix-lsp-mode' in this buffer"))
  (aix-lsp--forget)
  (aix-lsp-ghost-hide)
  (if (aix-lsp-backend-ready-p aix-lsp-backend)
      (aix-lsp--ask t)
    (message "aix: %s" (or (aix-lsp-server-refused) "the server is starting"))))

(defun aix-lsp-accept ()
  "Take the offer."
  (interactive)
  (aix-lsp-ghost-accept #'identity))

(defun aix-lsp-accept-word ()
  "Take the next word of the offer."
  (interactive)
  (aix-lsp-ghost-accept #'aix-lsp-ghost-word))

(defun aix-lsp-accept-line ()
  "Take the offer up to the end of its line."
  (interactive)
  (aix-lsp-ghost-accept #'aix-lsp-ghost-line))

(defun aix-lsp-next (&optional by)
  "Show the next offer, or the one BY places further on."
  (interactive "p")
  (aix-lsp-ghost-step (or by 1)))

(defun aix-lsp-previous (&optional by)
  "Show the previous offer, or the one BY places before."
  (interactive "p")
  (aix-lsp-ghost-step (- (or by 1))))

(defun aix-lsp-dismiss ()
  "Show no offer until something is typed."
  (interactive)
  (aix-lsp--forget)
  (aix-lsp-ghost-hide))

(require 'aix-lsp-commands)

(provide 'aix-lsp)
;;; aix-lsp.el ends here
