// SPDX-License-Identifier: Apache-2.0
// strings.js - every text of the page, English and French side by side: key: [English, French].
export const LANGUAGES = ["en", "fr"];

export const STRINGS = {
  // The frame.
  skip: ["Skip to the message box", "Aller à la zone de message"],
  conversations: ["Conversations", "Conversations"],
  newChat: ["New chat", "Nouvelle discussion"],
  search: ["Search conversations", "Chercher dans les conversations"],
  searchNone: ["Nothing found.", "Rien trouvé."],
  found: ["Found", "Trouvé"],
  listEmpty: ["Your conversations will be listed here.", "Vos conversations apparaîtront ici."],
  listMore: ["Show older", "Afficher les plus anciennes"],
  openList: ["Show conversations", "Afficher les conversations"],
  closeList: ["Hide conversations", "Masquer les conversations"],
  today: ["Today", "Aujourd’hui"],
  yesterday: ["Yesterday", "Hier"],
  thisWeek: ["Last 7 days", "7 derniers jours"],
  earlier: ["Earlier", "Plus tôt"],
  answering: ["answering", "répond"],
  untitled: ["New conversation", "Nouvelle conversation"],
  more: ["More for “{title}”", "Autres actions pour « {title} »"],
  rename: ["Rename", "Renommer"],
  remove: ["Delete", "Supprimer"],
  exportMarkdown: ["Export as Markdown", "Exporter en Markdown"],
  exportJson: ["Export as JSON", "Exporter en JSON"],
  importJson: ["Import from JSON", "Importer du JSON"],
  imported: ["Conversations imported: {n}.", "Conversations importées : {n}."],
  removeAsk: ["Delete “{title}”? This cannot be undone.",
              "Supprimer « {title} » ? C’est définitif."],
  renameAsk: ["Title of the conversation", "Titre de la conversation"],
  cancel: ["Cancel", "Annuler"],
  save: ["Save", "Enregistrer"],
  close: ["Close", "Fermer"],
  // The thread.
  welcome: ["What shall we think about?", "À quoi réfléchissons-nous ?"],
  welcomeMore: ["Everything stays on this machine: your words, the model, the answers.",
                "Tout reste sur cette machine : vos mots, le modèle, les réponses."],
  thread: ["Messages", "Messages"],
  you: ["You", "Vous"],
  assistant: ["Answer", "Réponse"],
  systemNote: ["Instructions: {text}", "Consignes : {text}"],
  older: ["Loading earlier messages…", "Chargement des messages précédents…"],
  jump: ["Jump to the latest", "Aller au plus récent"],
  copy: ["Copy", "Copier"],
  copied: ["Copied", "Copié"],
  copyCode: ["Copy code", "Copier le code"],
  copyFailed: ["The browser did not let the page copy.", "Le navigateur n’a pas permis la copie."],
  edit: ["Edit", "Modifier"],
  editLabel: ["Edit your message", "Modifier votre message"],
  editSend: ["Send the new version", "Envoyer la nouvelle version"],
  again: ["Another answer", "Une autre réponse"],
  branch: ["Version {i} of {n}", "Version {i} sur {n}"],
  branchPrev: ["Previous version", "Version précédente"],
  branchNext: ["Next version", "Version suivante"],
  reasoning: ["Reasoning", "Raisonnement"],
  reasoningNow: ["Reasoning…", "Raisonnement…"],
  calls: ["Tool call", "Appel d’outil"],
  showAll: ["Show the whole message ({size})", "Afficher tout le message ({size})"],
  plainNote: ["This message is long ({size}); it is shown as plain text.",
              "Ce message est long ({size}) ; il est affiché en texte brut."],
  imageLink: ["image: {text}", "image : {text}"],
  // While an answer comes.
  queued: ["Waiting: {n} before you", "En attente : {n} avant vous"],
  queuedNext: ["Waiting: you are next", "En attente : vous êtes le prochain"],
  loading: ["Loading the model…", "Chargement du modèle…"],
  prefill: ["Reading: {done} of {all} tokens", "Lecture : {done} jetons sur {all}"],
  eta: ["about {time} left", "encore {time} environ"],
  thinking: ["Beginning to answer…", "Début de la réponse…"],
  announceBegin: ["An answer is on its way.", "Une réponse arrive."],
  announceEnd: ["Answer: {text}", "Réponse : {text}"],
  announceStop: ["Stopped.", "Arrêté."],
  stopped: ["Stopped", "Arrêté"],
  cutLength: ["Ended: the length limit was reached.", "Fin : la limite de longueur est atteinte."],
  failed: ["The answer failed: {why}", "La réponse a échoué : {why}"],
  // The composer.
  message: ["Message", "Message"],
  placeholder: ["Ask anything", "Posez votre question"],
  send: ["Send", "Envoyer"],
  stop: ["Stop", "Arrêter"],
  attach: ["Attach text files", "Joindre des fichiers texte"],
  detach: ["Remove {name}", "Retirer {name}"],
  attached: ["Attached files", "Fichiers joints"],
  fileTooBig: ["{name} is {size}; files may have {max} at most.",
               "{name} fait {size} ; la limite est de {max} par fichier."],
  fileNotText: ["{name} is not a text file (UTF-8).", "{name} n’est pas un fichier texte (UTF-8)."],
  footnote: ["A model can be wrong: check what matters.",
             "Un modèle peut se tromper : vérifiez ce qui compte."],
  // Figures.
  speed: ["{n} tokens/s", "{n} jetons/s"],
  tokens: ["{n} tokens", "{n} jetons"],
  cachedTokens: ["{n} kept", "{n} gardés"],
  ttft: ["first word after {time}", "premier mot après {time}"],
  leftOut: ["oldest messages left out, they did not fit: {n}",
            "messages les plus anciens écartés, faute de place : {n}"],
  figures: ["Figures of this answer", "Chiffres de cette réponse"],
  energyMeasured: ["{j} measured", "{j} mesurés"],
  energyEstimated: ["about {j}, estimated", "environ {j}, estimés"],
  energyNone: ["energy unknown", "énergie inconnue"],
  energyRange: ["between {lo} and {hi}", "entre {lo} et {hi}"],
  energyConversation: ["Energy of this conversation", "Énergie de cette conversation"],
  seconds: ["{n} s", "{n} s"],
  minutes: ["{n} min", "{n} min"],
  hours: ["{n} h", "{n} h"],
  // The energy of a day.
  day: ["Energy of the day", "Énergie du jour"],
  dayPrev: ["Day before", "Jour précédent"],
  dayNext: ["Day after", "Jour suivant"],
  daySum: ["{energy} · answers: {answers} · tokens: {tokens}",
           "{energy} · réponses : {answers} · jetons : {tokens}"],
  dayNone: ["No answers on this day.", "Aucune réponse ce jour-là."],
  dayTable: ["As a table", "En tableau"],
  hour: ["Hour", "Heure"],
  energy: ["Energy", "Énergie"],
  answers: ["Answers", "Réponses"],
  tokensHead: ["Tokens", "Jetons"],
  chartLabel: ["Energy by hour, most: {max}", "Énergie par heure, maximum : {max}"],
  // Models.
  models: ["Models", "Modèles"],
  chooseModel: ["Choose a model (now {name})", "Choisir un modèle (actuel : {name})"],
  noModel: ["no model", "aucun modèle"],
  machineMemory: ["This machine has {all} of memory, {free} free now.",
                  "Cette machine a {all} de mémoire, dont {free} libres."],
  needs: ["needs {size} of memory", "demande {size} de mémoire"],
  fits: ["fits", "tient"],
  tooBig: ["too big for this machine", "trop gros pour cette machine"],
  tight: ["fits when other programs make room", "tient si d’autres programmes font de la place"],
  loaded: ["loaded", "chargé"],
  here: ["on this machine", "sur cette machine"],
  use: ["Use", "Utiliser"],
  inUse: ["In use", "Utilisé"],
  download: ["Download ({size})", "Télécharger ({size})"],
  downloadTerms: ["I accept these terms", "J’accepte ces conditions"],
  downloading: ["{done} of {all}", "{done} sur {all}"],
  downloadFailed: ["The download failed: {why}", "Le téléchargement a échoué : {why}"],
  downloadStop: ["Stop the download", "Arrêter le téléchargement"],
  downloadName: ["Download of {name}", "Téléchargement de {name}"],
  parameters: ["{n} parameters", "{n} paramètres"],
  context: ["{n} tokens of context", "{n} jetons de contexte"],
  licence: ["Licence: {name}", "Licence : {name}"],
  // Settings of a conversation.
  options: ["Instructions and sampling", "Consignes et échantillonnage"],
  systemPrompt: ["Instructions (system prompt)", "Consignes (invite système)"],
  systemHint: ["How the model should behave in this conversation.",
               "Comment le modèle doit se comporter dans cette conversation."],
  temperature: ["Temperature", "Température"],
  temperatureHint: ["0: always the likeliest word; 1: as the model was trained.",
                    "0 : toujours le mot le plus probable ; 1 : comme à l’entraînement."],
  topP: ["Top-p", "Top-p"],
  topK: ["Top-k (0: all)", "Top-k (0 : tous)"],
  minP: ["Min-p", "Min-p"],
  repeatPenalty: ["Repetition penalty", "Pénalité de répétition"],
  maxTokens: ["Longest answer (tokens)", "Réponse la plus longue (jetons)"],
  seed: ["Seed (empty: another each time)", "Graine (vide : différente à chaque fois)"],
  asDefault: ["Also for new conversations", "Aussi pour les nouvelles conversations"],
  reset: ["Reset", "Rétablir"],
  defaultValue: ["default", "par défaut"],
  // Preferences and help.
  preferences: ["Preferences", "Préférences"],
  language: ["Language", "Langue"],
  theme: ["Colours", "Couleurs"],
  auto: ["As the system", "Comme le système"],
  light: ["Light", "Clair"],
  dark: ["Dark", "Sombre"],
  shortcuts: ["Keyboard shortcuts", "Raccourcis clavier"],
  keySend: ["Send the message", "Envoyer le message"],
  keyLine: ["New line", "Nouvelle ligne"],
  keyStop: ["Stop the answer, or close a dialog", "Arrêter la réponse, ou fermer un dialogue"],
  keyNew: ["New chat", "Nouvelle discussion"],
  keySearch: ["Search conversations", "Chercher dans les conversations"],
  keyFocus: ["Go to the message box", "Aller à la zone de message"],
  keyMessages: ["Previous or next message", "Message précédent ou suivant"],
  keyCopy: ["Copy the last answer", "Copier la dernière réponse"],
  keyHelp: ["These shortcuts", "Ces raccourcis"],
  licences: ["Licences", "Licences"],
  licencesLead: ["sobre is free software (Apache-2.0). The page also contains these works:",
                 "sobre est un logiciel libre (Apache-2.0). La page contient aussi ces œuvres :"],
  version: ["sobre {version}", "sobre {version}"],
  // Signing in.
  signIn: ["Sign in", "Se connecter"],
  signInLead: ["This server asks for a key. Whoever runs it makes one with “sobre key add”.",
               "Ce serveur demande une clé. Son responsable en crée une avec « sobre key add »."],
  key: ["Key", "Clé"],
  signOut: ["Sign out", "Se déconnecter"],
  signedInAs: ["Signed in as {name}", "Connecté : {name}"],
  // What went wrong.
  wrongKey: ["This key is not known here.", "Cette clé n’est pas connue ici."],
  offline: ["The server cannot be reached. Trying again…",
            "Le serveur est injoignable. Nouvel essai…"],
  error: ["It did not work: {why}", "Cela n’a pas marché : {why}"],
  busy: ["The server is busy; try again in {time}.",
         "Le serveur est occupé ; réessayez dans {time}."],
  notFound: ["This conversation does not exist any more.", "Cette conversation n’existe plus."],
  dismiss: ["Dismiss", "Fermer l’avis"],
};

let column = 0;

export function chosenLanguage() {
  try {
    return localStorage.getItem("sobre.language") || "auto";
  } catch {
    return "auto";
  }
}

export function setLanguage(choice) {
  const tag = choice === "auto" ? navigator.language || "en" : choice;
  column = Math.max(0, LANGUAGES.indexOf(tag.slice(0, 2).toLowerCase()));
  document.documentElement.lang = LANGUAGES[column];
}

export const language = () => LANGUAGES[column];

/* For dates and numbers: the reader's own habits where they are of that language. */
export const locale = () =>
  (navigator.languages || []).find((tag) => tag.slice(0, 2).toLowerCase() === LANGUAGES[column]) || LANGUAGES[column];

/* The text of a key with {names} filled in. */
export function t(key, values) {
  const text = STRINGS[key][column];
  return values ? text.replace(/\{(\w+)\}/g, (all, name) => values[name] ?? all) : text;
}
